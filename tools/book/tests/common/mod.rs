//! Books small enough to be read at a glance, in temporary folders.
#![allow(dead_code, reason = "each test file uses its own part of this")]
#![allow(unreachable_pub, reason = "shared by several test programs")]

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A book in a temporary folder, which goes with it.
pub struct Fixture {
    folder: TempDir,
}

impl Fixture {
    /// A clean book: two pages that include from a chapter, link to each other and show an image.
    pub fn new() -> Self {
        let fixture = Fixture {
            folder: tempfile::tempdir().expect("a temporary folder"),
        };
        fixture.write(
            "book.toml",
            "[book]\ntitle = \"Fixture\"\nlanguage = \"en\"\n\n[build]\ncreate-missing = false\n",
        );
        fixture.write("src/SUMMARY.md", SUMMARY);
        fixture.write("src/one.md", ONE);
        fixture.write("src/two.md", TWO);
        fixture.write(
            "src/figure.svg",
            "<svg xmlns=\"http://www.w3.org/2000/svg\"/>\n",
        );
        fixture.write("chapters/first/src/lib.rs", LIB);
        fixture.write("chapters/first/src/plain.rs", PLAIN);
        fixture.write(
            "chapters/first/README.md",
            "# First\n\n[lib](src/lib.rs) and [root](../../README.md#the-book)\n",
        );
        fixture.write(
            "README.md",
            "# The book\n\nRead [one](src/one.md#a-heading), see [chapters](chapters/).\n",
        );
        fixture
    }

    /// Its root.
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file, making folders on the way.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        let folder = path.parent().expect("a file is in a folder");
        fs::create_dir_all(folder).expect("a folder can be made");
        fs::write(&path, text).expect("a file can be written");
    }

    /// Replaces a text that must be there.
    pub fn edit(&self, path: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(path)).expect("the file is there");
        assert!(text.contains(from), "{path} has no `{from}`");
        self.write(path, &text.replacen(from, to, 1));
    }

    /// A path in it.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    /// What the check says, a line a problem.
    pub fn check(&self) -> Vec<String> {
        book::check(self.root())
            .iter()
            .map(ToString::to_string)
            .collect()
    }
}

const SUMMARY: &str = "# Summary

[One](one.md)

- [Two](two.md)
- [To be written]()
";

const ONE: &str = "# One

## A heading

See [two](two.md#with-code), [here](#a-heading), [top](#), <https://www.rust-lang.org/> and [mail](mailto:a@b.example).

![A figure](figure.svg)

```rust
{{#include ../chapters/first/src/lib.rs:add}}
```
";

const TWO: &str = "# Two

## With `code`

- a list

  ```rust
  let nested = 1;
  ```

> ```console
> $ quoted
> ```

<details>
<summary>More</summary>

```rust
{{#include ../chapters/first/src/plain.rs:2:3}}
```

</details>

<figure id=\"fig\"><a href=\"one.md#a-heading\">back</a></figure>

Back to [the figure](#fig).
";

const LIB: &str = "//! A library.
// ANCHOR: add
pub fn add(a: u32, b: u32) -> u32 {
    a + b
}
// ANCHOR_END: add
";

const PLAIN: &str = "//! Without
//! anchors.
pub fn f() {}
";
