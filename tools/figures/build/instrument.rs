//! Puts marks into a program, each on the line that it marks: so all lines keep their numbers.

use proc_macro2::{LineColumn, Span};
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use syn::{Block, Expr, ExprAwait, ExprClosure, ItemConst, ItemStatic, Stmt};

/// `source`, with a mark before each statement, and around each future that is awaited.
pub(crate) fn instrument(source: &str) -> syn::Result<String> {
    let file = syn::parse_file(source)?;
    let mut marks = Marks(Vec::new());
    marks.visit_file(&file);
    let Marks(mut marks) = marks;
    // From the end, so that the places before stay as they are. Two at one place keep their order.
    marks.sort_by_key(|&(at, _)| (at.line, at.column));
    let mut lines: Vec<String> = source.split('\n').map(str::to_owned).collect();
    for (at, text) in marks.into_iter().rev() {
        let line = &mut lines[at.line - 1];
        let column = line
            .char_indices()
            .nth(at.column)
            .map_or(line.len(), |(column, _)| column);
        line.insert_str(column, &text);
    }
    Ok(lines.join("\n"))
}

struct Marks(Vec<(LineColumn, String)>);

impl Marks {
    fn put(&mut self, at: LineColumn, text: String) {
        self.0.push((at, text));
    }

    fn line(span: Span) -> usize {
        span.start().line
    }
}

impl<'ast> Visit<'ast> for Marks {
    fn visit_block(&mut self, block: &'ast Block) {
        for statement in &block.stmts {
            // An item does nothing when its place is reached.
            if !matches!(statement, Stmt::Item(_)) {
                let at = statement.span();
                let line = Marks::line(at);
                self.put(at.start(), format!("crate::mark::at({line}); "));
            }
        }
        visit::visit_block(self, block);
    }

    fn visit_expr_await(&mut self, awaited: &'ast ExprAwait) {
        let base = awaited.base.span();
        // Where a long chain ends is where the task waits.
        let line = Marks::line(awaited.await_token.span);
        self.put(base.start(), format!("crate::mark::awaited({line}, "));
        visit::visit_expr_await(self, awaited);
        self.put(base.end(), ")".to_owned());
    }

    fn visit_expr_closure(&mut self, closure: &'ast ExprClosure) {
        let body = closure.body.span();
        let line = Marks::line(body);
        let bare = !matches!(*closure.body, Expr::Block(_));
        if bare {
            self.put(body.start(), format!("{{ crate::mark::at({line}); "));
        }
        visit::visit_expr_closure(self, closure);
        if bare {
            self.put(body.end(), " }".to_owned());
        }
    }

    // What is computed while the program is compiled runs nowhere.
    fn visit_item_const(&mut self, _: &'ast ItemConst) {}

    fn visit_item_static(&mut self, _: &'ast ItemStatic) {}

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if item.sig.constness.is_none() {
            visit::visit_item_fn(self, item);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::instrument;

    fn marked(source: &str, expected: &str) {
        assert_eq!(instrument(source).expect("it parses"), expected);
    }

    #[test]
    fn each_statement_has_its_line() {
        marked(
            "fn f() {\n    let a = 1;\n    a;\n}",
            "fn f() {\n    crate::mark::at(2); let a = 1;\n    crate::mark::at(3); a;\n}",
        );
    }

    #[test]
    fn what_is_awaited_has_the_line_of_its_await() {
        marked(
            "async fn f() {\n    g(\n        1\n    ).await\n}",
            "async fn f() {\n    crate::mark::at(2); crate::mark::awaited(4, g(\n        1\n    )).await\n}",
        );
    }

    #[test]
    fn awaits_within_awaits_are_nested() {
        marked(
            "async fn f() { g(h().await).await }",
            "async fn f() { crate::mark::at(1); crate::mark::awaited(1, g(crate::mark::awaited(1, h()).await)).await }",
        );
        marked(
            "async fn f() { g().await.await }",
            "async fn f() { crate::mark::at(1); crate::mark::awaited(1, crate::mark::awaited(1, g()).await).await }",
        );
    }

    #[test]
    fn a_closure_without_a_block_gets_one() {
        marked(
            "fn f() {\n    g(async |_| h());\n}",
            "fn f() {\n    crate::mark::at(2); g(async |_| { crate::mark::at(2); h() });\n}",
        );
    }

    #[test]
    fn constants_and_letters_beyond_ascii_are_no_trouble() {
        marked(
            "const A: u8 = { 1 };\nfn f() { \"ö\"; g() }",
            "const A: u8 = { 1 };\nfn f() { crate::mark::at(2); \"ö\"; crate::mark::at(2); g() }",
        );
    }
}
