//! What one route's WebSockets do differently from the settings.

use super::inbox::SlowClient;

/// Choices for one route's WebSockets; what is not chosen is as `[websocket]` in config.ini says.
///
/// ```
/// use maypole::live::{SlowClient, WebSocketOptions};
///
/// let options = WebSocketOptions::new()
///     .protocols(["chat.v2", "chat.v1"])
///     .origins(["https://partner.example"])
///     .max_message_bytes(4096)
///     .slow_client(SlowClient::Latest);
/// # let _ = options;
/// ```
#[derive(Debug, Clone, Default)]
pub struct WebSocketOptions {
    pub(super) protocols: Vec<String>,
    pub(super) origins: Option<Vec<String>>,
    pub(super) max_message_bytes: Option<usize>,
    pub(super) slow: SlowClient,
}

impl WebSocketOptions {
    /// Everything as the settings say.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The subprotocols the handler speaks. The first one the client names of them is chosen;
    /// without a match the socket opens without one, and browsers that asked for one close it.
    #[must_use]
    pub fn protocols<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.protocols = names.into_iter().map(Into::into).collect();
        self
    }

    /// The origins whose pages may connect besides the app's own, instead of `[websocket] origins`.
    /// Written as browsers send them, `https://example.org`; `*` lets every page act as the
    /// visitor, which is right only where no session is used.
    #[must_use]
    pub fn origins<S: Into<String>>(mut self, origins: impl IntoIterator<Item = S>) -> Self {
        self.origins = Some(origins.into_iter().map(Into::into).collect());
        self
    }

    /// The longest message (and frame) the client may send, in bytes, instead of `[websocket]
    /// message`; a longer one closes the socket with code 1009.
    #[must_use]
    pub fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.max_message_bytes = Some(bytes);
        self
    }

    /// What becomes of news the client does not take in time; [`SlowClient::Close`] by default.
    #[must_use]
    pub fn slow_client(mut self, slow: SlowClient) -> Self {
        self.slow = slow;
        self
    }
}
