//! The static build, as any web server would serve it.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use tempfile::TempDir;

use super::{PATIENCE, Result};

/// The book, built into a temporary folder and served on a free port. Dropping it ends it.
#[derive(Debug)]
pub struct Site {
    address: SocketAddr,
    closing: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
    folder: TempDir,
}

impl Site {
    /// Builds the book at `root`, as `cargo book build` does, and serves it.
    ///
    /// # Errors
    ///
    /// When it cannot be built or served.
    pub fn start(root: &Path) -> Result<Site> {
        let cannot = |error: io::Error| format!("the site cannot be served: {error}");
        let folder = tempfile::tempdir().map_err(cannot)?;
        let files = folder.path().join("site");
        book::build(root, &files).map_err(|problems| {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            format!("the book cannot be built:\n{}", lines.join("\n"))
        })?;
        let listener = TcpListener::bind("127.0.0.1:0").map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        let closing = Arc::new(AtomicBool::new(false));
        let closed = Arc::clone(&closing);
        let server = thread::spawn(move || {
            for stream in listener.incoming().map_while(io::Result::ok) {
                if closed.load(Ordering::Acquire) {
                    return;
                }
                let files = files.clone();
                // A browser that goes away in the middle is its own affair.
                thread::spawn(move || answer(stream, &files));
            }
        });
        Ok(Site {
            address,
            closing,
            server: Some(server),
            folder,
        })
    }

    /// The address of one of its files.
    pub fn url(&self, file: &str) -> String {
        format!("http://{}/{file}", self.address)
    }

    /// Its pages, without the extension, in the order of their names.
    ///
    /// # Errors
    ///
    /// When its folder cannot be read.
    pub fn pages(&self) -> Result<Vec<String>> {
        let folder = self.folder.path().join("site");
        let unreadable = |error| format!("{}: {error}", folder.display());
        let mut pages = Vec::new();
        for entry in fs::read_dir(&folder).map_err(unreadable)? {
            let name = PathBuf::from(entry.map_err(unreadable)?.file_name());
            if name
                .extension()
                .is_some_and(|extension| extension == "html")
            {
                pages.extend(
                    name.file_stem()
                        .map(|stem| stem.to_string_lossy().into_owned()),
                );
            }
        }
        // The first page under another name, and what a frame shows to readers without scripts.
        pages.retain(|name| name != "index" && name != "toc");
        pages.sort();
        Ok(pages)
    }
}

impl Site {
    /// The address of one of its files, without the server.
    pub fn file_url(&self, file: &str) -> String {
        format!(
            "file://{}/{file}",
            self.folder.path().join("site").display()
        )
    }

    /// The heaviest of the pages that show a whole file, without the extension.
    ///
    /// # Errors
    ///
    /// When its folder cannot be read, or has none.
    pub fn heaviest_file(&self) -> Result<String> {
        let folder = self.folder.path().join("site");
        let below = folder.join("files");
        let unreadable = |error| format!("{}: {error}", below.display());
        let mut heaviest = (0, String::new());
        for path in book::files_below(&below).map_err(unreadable)? {
            let bytes = fs::metadata(below.join(&path)).map_err(unreadable)?.len();
            let name = format!("files/{}", path.to_string_lossy().replace('\\', "/"));
            heaviest = heaviest.max((bytes, name));
        }
        match heaviest.1.strip_suffix(".html") {
            Some(name) => Ok(name.to_owned()),
            None => Err(format!("{} has no pages", below.display())),
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Release);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}

/// Answers one request for a file.
fn answer(mut stream: TcpStream, files: &Path) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new(stream.try_clone()?.take(1 << 16)).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    // To the end of the head: closing a connection with something unread resets it.
    while lines
        .next()
        .transpose()?
        .is_some_and(|line| !line.is_empty())
    {}
    let path = first.split(' ').nth(1).unwrap_or_default();
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let path = path.trim_start_matches('/');
    let inside = !path.split('/').any(|part| part == "..");
    let body = inside.then(|| fs::read(files.join(path)).ok()).flatten();
    let (status, body) = match body {
        Some(body) => ("200 OK", body),
        None => ("404 Not Found", b"there is no such file".to_vec()),
    };
    let kind = match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        _ => "text/plain; charset=utf-8",
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)
}
