//! The secret that a page must know to have anything run.

use std::fmt::Write;

use anyhow::{Result, anyhow};
use subtle::ConstantTimeEq;

/// Known to whoever reads the terminal, and to the page that was opened from there.
pub(crate) struct Token(String);

impl Token {
    /// A new one: 32 random bytes of the system.
    pub(crate) fn fresh() -> Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)
            .map_err(|error| anyhow!("the system gives no random bytes for a token: {error}"))?;
        Ok(Self(hex(&bytes)))
    }

    /// As it stands in the address.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// Whether this is it, in a time that says nothing about how much of it is right.
    pub(crate) fn is(&self, given: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(given).into()
    }
}

/// A name for something that lives as long as a run.
///
/// # Errors
///
/// When the system has no random bytes.
pub(crate) fn id() -> Result<String, String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)
        .map_err(|error| format!("the system gives no random bytes: {error}"))?;
    Ok(hex(&bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself() {
        let token = Token::fresh().unwrap();
        assert_eq!(token.text().len(), 64);
        assert!(token.is(token.text().as_bytes()));
        assert!(!token.is(&token.text().as_bytes()[1..]));
        assert!(!token.is(b""));
        assert!(!token.is(Token::fresh().unwrap().text().as_bytes()));
    }
}
