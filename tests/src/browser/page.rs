//! A tab: where it goes, what is done in it, and what it did.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::{Browser, PATIENCE, Result};

/// How a page is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// The window's width in CSS pixels.
    pub width: u32,
    /// Whether the reader's system is dark.
    pub dark: bool,
    /// Whether it is on its way to paper.
    pub print: bool,
    /// Whether the reader wants nothing to move.
    pub still: bool,
    /// Whether scripts run.
    pub scripts: bool,
}

impl Default for Look {
    fn default() -> Self {
        Look {
            width: 1280,
            dark: false,
            print: false,
            still: false,
            scripts: true,
        }
    }
}

/// A tab in a profile of its own (which [`Page::beside`] shares). Dropping it closes it.
#[derive(Debug)]
pub struct Page {
    browser: Arc<Browser>,
    context: String,
    target: String,
    session: String,
}

impl Page {
    pub(super) fn open(browser: Arc<Browser>, context: Option<&str>) -> Result<Page> {
        let context = match context {
            Some(context) => context.to_owned(),
            None => {
                // Closing the tab must not leave the profile behind.
                let how = json!({"disposeOnDetach": true});
                let made = browser.order(None, "Target.createBrowserContext", &how)?;
                text(&made["browserContextId"])
            }
        };
        let what = json!({"url": "about:blank", "browserContextId": context});
        let target = text(&browser.order(None, "Target.createTarget", &what)?["targetId"]);
        let what = json!({"targetId": target, "flatten": true});
        let session = text(&browser.order(None, "Target.attachToTarget", &what)?["sessionId"]);
        let page = Page {
            browser,
            context,
            target,
            session,
        };
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.order(&format!("{domain}.enable"), &json!({}))?;
        }
        page.order("Page.setLifecycleEventsEnabled", &json!({"enabled": true}))?;
        page.look(Look::default())?;
        Ok(page)
    }

    /// Another tab of the same reader: same storage, same address bar.
    ///
    /// # Errors
    ///
    /// When the browser does not answer.
    pub fn beside(&self) -> Result<Page> {
        Page::open(Arc::clone(&self.browser), Some(&self.context))
    }

    fn order(&self, method: &str, what: &Value) -> Result<Value> {
        self.browser.order(Some(&self.session), method, what)
    }

    /// Looks at the page in another way, from now on.
    ///
    /// # Errors
    ///
    /// When the browser does not answer.
    pub fn look(&self, look: Look) -> Result {
        let size =
            json!({"width": look.width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        self.order("Emulation.setDeviceMetricsOverride", &size)?;
        let media = json!({
            "media": if look.print { "print" } else { "" },
            "features": [
                {"name": "prefers-color-scheme", "value": if look.dark { "dark" } else { "light" }},
                {"name": "prefers-reduced-motion", "value": if look.still { "reduce" } else { "no-preference" }},
            ],
        });
        self.order("Emulation.setEmulatedMedia", &media)?;
        let scripts = json!({"value": !look.scripts});
        self.order("Emulation.setScriptExecutionDisabled", &scripts)?;
        Ok(())
    }

    /// Goes to an address and waits until everything there is loaded.
    ///
    /// # Errors
    ///
    /// When it is not there, or not in time.
    pub fn goto(&self, address: &str) -> Result {
        let answer = self.order("Page.navigate", &json!({"url": address}))?;
        if let Some(error) = answer["errorText"].as_str() {
            return Err(format!("{address}: {error}"));
        }
        // Without one it was a step within the page.
        match answer["loaderId"].as_str() {
            Some(loader) => self.loaded(address, |event| event["loaderId"] == loader),
            None => Ok(()),
        }
    }

    /// Loads the page again.
    ///
    /// # Errors
    ///
    /// When that takes too long.
    pub fn reload(&self) -> Result {
        let before = self.browser.events(&self.session, <[Value]>::len);
        self.order("Page.reload", &json!({}))?;
        let found = self.browser.happens(&self.session, |events| {
            events
                .iter()
                .skip(before)
                .find(|event| is_load(event))
                .map(drop)
        });
        found.ok_or_else(|| "the page does not load again in time".to_owned())
    }

    fn loaded(&self, address: &str, wanted: impl Fn(&Value) -> bool) -> Result {
        let found = self.browser.happens(&self.session, |events| {
            let mut events = events.iter();
            events
                .find(|event| is_load(event) && wanted(&event["params"]))
                .map(drop)
        });
        found.ok_or_else(|| format!("{address} does not load in time"))
    }

    /// The value of an expression inside the page; of a promise, what it promises.
    ///
    /// # Errors
    ///
    /// What it throws.
    pub fn value(&self, expression: &str) -> Result<Value> {
        let what = json!({"expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true});
        let answer = self.order("Runtime.evaluate", &what)?;
        match answer.get("exceptionDetails") {
            None => Ok(answer["result"]["value"].clone()),
            Some(thrown) => {
                let said = thrown["exception"]["description"].as_str();
                Err(format!("`{expression}`: {}", said.unwrap_or("it throws")))
            }
        }
    }

    /// What a screen reader is told of an element: its role, its name, and whether it is `expanded`.
    ///
    /// # Errors
    ///
    /// When the expression gives no element.
    pub fn spoken(&self, expression: &str) -> Result<Value> {
        let what = json!({"expression": expression});
        let answer = self.order("Runtime.evaluate", &what)?;
        let element = &answer["result"]["objectId"];
        let what = json!({"objectId": element, "fetchRelatives": false});
        let answer = self.order("Accessibility.getPartialAXTree", &what)?;
        let node = &answer["nodes"][0];
        let properties = node["properties"].as_array().into_iter().flatten();
        let expanded = properties
            .filter(|property| property["name"] == "expanded")
            .map(|property| property["value"]["value"].clone())
            .next();
        Ok(json!({
            "role": node["role"]["value"],
            "name": node["name"]["value"],
            "expanded": expanded,
        }))
    }

    /// Waits until an expression inside the page is true.
    ///
    /// # Errors
    ///
    /// When it does not become so; `what` says what was waited for.
    pub fn wait(&self, what: &str, expression: &str) -> Result {
        self.wait_within(PATIENCE, what, expression)
    }

    /// Likewise, for what may take longer.
    ///
    /// # Errors
    ///
    /// When it does not become so in that time.
    pub fn wait_within(&self, limit: Duration, what: &str, expression: &str) -> Result {
        let deadline = Instant::now() + limit;
        let truth = format!("Boolean({expression})");
        loop {
            // While the tab goes from one page to another there is none to ask.
            let now = self.value(&truth);
            if now == Ok(Value::Bool(true)) {
                return Ok(());
            }
            if Instant::now() > deadline {
                let why = now.err().unwrap_or_default();
                return Err(format!(
                    "{what}: not within {limit:?} (`{expression}`) {why}"
                ));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The complaints of a [probe](super::probe).
    ///
    /// # Errors
    ///
    /// When it fails.
    pub fn complaints(&self, probe: &str) -> Result<Vec<String>> {
        let value = self.value(probe)?;
        let list = value.as_array().ok_or("a probe gives a list")?;
        Ok(list.iter().map(text).collect())
    }

    /// Clicks in the middle of the first element there.
    ///
    /// # Errors
    ///
    /// When there is none, or something lies over it.
    pub fn click(&self, selector: &str) -> Result {
        let place = self.value(&format!(
            "(() => {{
                const element = document.querySelector({0});
                if (!element) return null;
                element.scrollIntoView({{block: 'center', behavior: 'instant'}});
                const box = element.getBoundingClientRect();
                const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
                const top = document.elementFromPoint(x, y);
                return [x, y, element.contains(top)];
            }})()",
            json!(selector)
        ))?;
        if place.is_null() {
            return Err(format!("there is no {selector} to click"));
        }
        if place[2] != true {
            return Err(format!(
                "{selector} cannot be clicked: it is hidden, or something lies over it"
            ));
        }
        for kind in ["mousePressed", "mouseReleased"] {
            let what = json!({"type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1});
            self.order("Input.dispatchMouseEvent", &what)?;
        }
        Ok(())
    }

    /// Types text where the focus is.
    ///
    /// # Errors
    ///
    /// When the browser does not answer.
    pub fn enter(&self, text: &str) -> Result {
        self.order("Input.insertText", &json!({"text": text}))
            .map(drop)
    }

    /// Presses a key: `Tab`, `Enter`, `ArrowLeft`, or a single character; `Shift+` and `Control+` may stand before it.
    ///
    /// # Errors
    ///
    /// When the browser does not answer, or the key is not known here.
    pub fn press(&self, key: &str) -> Result {
        let (mut key, mut modifiers) = (key, 0);
        for (name, bit) in [("Control+", 2), ("Shift+", 8)] {
            if let Some(rest) = key.strip_prefix(name) {
                (key, modifiers) = (rest, modifiers | bit);
            }
        }
        let (code, typed) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            "Escape" => (27, ""),
            " " => (32, " "),
            "PageUp" => (33, ""),
            "PageDown" => (34, ""),
            "End" => (35, ""),
            "Home" => (36, ""),
            "ArrowLeft" => (37, ""),
            "ArrowUp" => (38, ""),
            "ArrowRight" => (39, ""),
            "ArrowDown" => (40, ""),
            one if one.chars().count() == 1 => (0, one),
            unknown => return Err(format!("no key is called {unknown}")),
        };
        let typed = if modifiers & 2 == 0 { typed } else { "" };
        let down = if typed.is_empty() {
            "rawKeyDown"
        } else {
            "keyDown"
        };
        for kind in [down, "keyUp"] {
            let mut what = json!({"type": kind, "key": key, "modifiers": modifiers, "windowsVirtualKeyCode": code});
            if kind == "keyDown" {
                what["text"] = typed.into();
            }
            self.order("Input.dispatchKeyEvent", &what)?;
        }
        Ok(())
    }

    /// Forgets what it did so far, for what counts from now on.
    pub fn forget(&self) {
        self.browser.forget(&self.session);
    }

    /// Errors on the console, and exceptions that nobody caught.
    pub fn errors(&self) -> Vec<String> {
        self.browser.events(&self.session, |events| {
            events.iter().filter_map(error_of).collect()
        })
    }

    /// The addresses that it asked for, in order.
    pub fn requests(&self) -> Vec<String> {
        self.browser.events(&self.session, |events| {
            let sent = events
                .iter()
                .filter_map(|event| match event["method"].as_str() {
                    Some("Network.requestWillBeSent") => Some(&event["params"]["request"]["url"]),
                    Some("Network.webSocketCreated") => Some(&event["params"]["url"]),
                    _ => None,
                });
            sent.map(text).collect()
        })
    }

    /// The bytes of each body that came, unpacked, but for fonts.
    pub fn weights(&self) -> Vec<(String, u64)> {
        self.browser.events(&self.session, |events| {
            let of = |name: &'static str| {
                let named = events.iter().filter(move |event| event["method"] == name);
                named.map(|event| &event["params"])
            };
            let kinds = of("Network.responseReceived").filter(|it| it["type"] != "Font");
            let bodies = kinds.map(|it| {
                let data =
                    of("Network.dataReceived").filter(|data| data["requestId"] == it["requestId"]);
                let bytes = data.filter_map(|data| data["dataLength"].as_u64()).sum();
                (text(&it["response"]["url"]), bytes)
            });
            bodies.collect()
        })
    }

    /// Writes down what it looks like.
    ///
    /// # Errors
    ///
    /// When there is no picture, or nowhere to put it.
    pub fn screenshot(&self, file: &Path) -> Result {
        let answer = self.order("Page.captureScreenshot", &json!({"format": "png"}))?;
        let packed = answer["data"].as_str().unwrap_or_default();
        let picture = BASE64
            .decode(packed)
            .map_err(|error| format!("the picture: {error}"))?;
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        std::fs::write(file, picture).map_err(|error| format!("{}: {error}", file.display()))
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // A browser that has gone has closed it, too.
        let what = json!({"targetId": self.target});
        let _ = self.browser.order(None, "Target.closeTarget", &what);
        self.browser.forget(&self.session);
    }
}

fn is_load(event: &Value) -> bool {
    event["method"] == "Page.lifecycleEvent" && event["params"]["name"] == "load"
}

fn error_of(event: &Value) -> Option<String> {
    let what = &event["params"];
    match event["method"].as_str()? {
        "Runtime.exceptionThrown" => {
            let thrown = &what["exceptionDetails"];
            let said = thrown["exception"]["description"].as_str();
            Some(said.map_or_else(|| text(&thrown["text"]), str::to_owned))
        }
        "Runtime.consoleAPICalled" if what["type"] == "error" || what["type"] == "assert" => {
            let said = what["args"].as_array()?.iter();
            let said = said.map(|it| text(it.get("value").unwrap_or(&it["description"])));
            Some(said.collect::<Vec<_>>().join(" "))
        }
        "Log.entryAdded" if what["entry"]["level"] == "error" => {
            let entry = &what["entry"];
            Some(format!("{} {}", text(&entry["text"]), text(&entry["url"])))
        }
        _ => None,
    }
}

/// A string without its quotes; anything else as JSON.
fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
