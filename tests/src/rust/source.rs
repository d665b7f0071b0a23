//! From what stands on the page to what is compiled, and back to the page's lines.

/// Which line of the file each line of a block comes from.
#[derive(Debug, Clone)]
pub(crate) struct Lines {
    fence: usize,
    /// One entry per line of the block.
    from: Vec<usize>,
}

impl Lines {
    /// Aligns a block's text (includes carried out) with the file in which its fence stands at `fence`.
    pub(crate) fn new(file: &str, fence: usize, text: &str) -> Self {
        let lines: Vec<&str> = file.lines().collect();
        let opening = lines.get(fence - 1).copied().unwrap_or_default();
        let is_fence = opening.contains("```") || opening.contains("~~~");
        let mut from = Vec::new();
        let mut block = text.lines().peekable();
        let mut at = fence;
        while block.peek().is_some() {
            // The whole block may have been included: then its place is where that is said.
            let Some(line) = lines.get(at).filter(|_| is_fence) else {
                break;
            };
            at += 1;
            if line.contains("{{#") {
                // An include ends where the file goes on, or where the block does.
                let next = lines.get(at).map_or("", |line| line.trim());
                while let Some(shown) = block.peek()
                    && (next.starts_with("```") || next.starts_with("~~~") || shown.trim() != next)
                {
                    block.next();
                    from.push(at);
                }
            } else {
                block.next();
                from.push(at);
            }
        }
        Self { fence, from }
    }

    /// The line of the file that a line of the block, counted from 1, comes from.
    pub(crate) fn at(&self, line: usize) -> usize {
        match self.from.get(line.saturating_sub(1)) {
            Some(&line) => line,
            None => self.from.last().map_or(self.fence, |last| last + 1),
        }
    }
}

/// The lines between the fences as they stand in the file, includes not carried out.
pub(crate) fn raw(file: &str, fence: usize) -> Vec<&str> {
    let mut lines = file.lines().skip(fence - 1);
    let opening = lines.next().unwrap_or_default().trim_start();
    let marks = opening.len() - opening.trim_start_matches(['`', '~']).len();
    // What is no fence is an include that brings the whole block with it.
    let closing = &opening[..marks];
    lines
        .take_while(|line| marks > 0 && line.trim() != closing)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::Lines;

    #[test]
    fn lines_lead_back_to_the_file_around_an_include() {
        let file = "text\n```rust\na\n{{#include x.rs}}\nb\n```\n";
        let lines = Lines::new(file, 2, "a\nx\ny\nb\n");
        assert_eq!([1, 2, 3, 4].map(|line| lines.at(line)), [3, 4, 4, 5]);
        // Past the end, as for an error at the end of the file: the closing fence.
        assert_eq!(lines.at(5), 6);
    }
}
