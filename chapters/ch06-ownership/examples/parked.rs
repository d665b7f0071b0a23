//! Connections in a table that nobody looks at any more. `cargo run --example parked`

use ch06_ownership::{Result, TcpListener, TcpStream, run};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::rc::Rc;

// ANCHOR: serve
/// Connections that are at rest, for the next request.
type Idle = Rc<RefCell<HashMap<SocketAddr, TcpStream>>>;

async fn serve(mut stream: TcpStream, idle: Idle) -> Result<()> {
    stream.write_all(b"served").await?;
    idle.borrow_mut().insert(stream.peer_addr()?, stream);
    Ok(())
}
// ANCHOR_END: serve

/// How many descriptors this process has. Elsewhere than on Linux, we do not know.
fn descriptors() -> Option<usize> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count())
}

fn main() -> Result<()> {
    run(async |cx| {
        let mut listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let idle = Idle::default();
        // ANCHOR: clients
        let before = descriptors();
        for _ in 0..100 {
            let client = TcpStream::connect(address).await?;
            let (stream, _) = listener.accept().await?;
            let idle = idle.clone();
            cx.spawn(async move |_| serve(stream, idle).await).await?;
            drop(client);
        }
        println!("100 tasks have ended well, 100 clients are gone");
        // ANCHOR_END: clients
        match (before, descriptors()) {
            (Some(before), Some(after)) => println!("{} descriptors are left", after - before),
            _ => println!("how many descriptors are left, this system does not say"),
        }
        Ok(())
    })
}
