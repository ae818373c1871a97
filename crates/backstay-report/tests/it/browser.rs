//! A real browser without a window, told what to do by the protocol of its developer tools.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket};

const PROGRAMS: [&str; 4] = [
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
];

/// A browser with one page, ended when it is dropped.
pub(crate) struct Browser {
    process: Child,
    _profile: TempDir,
    socket: WebSocket<MaybeTlsStream<TcpStream>>,
    /// The page, once there is one.
    session: Option<String>,
    next_id: u64,
    /// What the browser told meanwhile.
    events: VecDeque<Value>,
}

/// What is on the screen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Screen {
    pub(crate) width: u32,
    pub(crate) scheme: &'static str,
}

impl Browser {
    pub(crate) fn start() -> Self {
        let profile = TempDir::new().expect("a temporary folder");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders: Vec<_> = std::env::split_paths(&path).collect();
        let places = PROGRAMS
            .iter()
            .flat_map(|program| folders.iter().map(move |folder| folder.join(program)));
        let program = places.into_iter().find(|place| place.is_file());
        let program = program.expect(
            "no Chromium found: run `cargo xtask test`, or install one (Debian: apt-get install chromium-headless-shell)",
        );
        // Root has no sandbox, and what is opened is ours.
        let mut process = Command::new(program)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--remote-debugging-port=0",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the browser starts");
        let mut lines = BufReader::new(process.stderr.take().expect("a pipe")).lines();
        let address = lines.find_map(|line| {
            let line = line.expect("the browser tells its address");
            Some(line.split_once("listening on ")?.1.to_owned())
        });
        // It goes on to write, and must not wait for somebody to read.
        std::thread::spawn(move || lines.for_each(drop));
        let address = address.expect("the browser tells its address");
        let (socket, _) = tungstenite::connect(address).expect("the browser answers");
        let mut browser = Self {
            process,
            _profile: profile,
            socket,
            session: None,
            next_id: 0,
            events: VecDeque::new(),
        };
        let target = browser.ask("Target.createTarget", &json!({ "url": "about:blank" }));
        let attached = browser.ask(
            "Target.attachToTarget",
            &json!({ "targetId": target["targetId"], "flatten": true }),
        );
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.ask(&format!("{domain}.enable"), &json!({}));
        }
        browser
    }

    /// Opens a file; gives what it wrote to the console, and everything that it asked a network for.
    pub(crate) fn open(&mut self, file: &Path, screen: Screen) -> (Vec<Value>, Vec<String>) {
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            &json!({ "width": screen.width, "height": 900, "deviceScaleFactor": 1, "mobile": screen.width < 500 }),
        );
        let scheme = json!([{ "name": "prefers-color-scheme", "value": screen.scheme }]);
        self.ask("Emulation.setEmulatedMedia", &json!({ "features": scheme }));
        self.events.clear();
        let url = format!("file://{}", file.display());
        self.ask("Page.navigate", &json!({ "url": url }));
        let mut told = Vec::new();
        loop {
            let event = self.events.pop_front().unwrap_or_else(|| self.read());
            let is_loaded = event["method"] == "Page.loadEventFired";
            told.push(event);
            if is_loaded {
                break;
            }
        }
        // What the page does when it is there comes before this answer.
        self.evaluate("document.fonts.ready.then(() => 1)");
        told.extend(self.events.drain(..));
        let is_of_console = |event: &&Value| {
            ["Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"]
                .iter()
                .any(|kind| event["method"] == *kind)
        };
        let console = told.iter().filter(is_of_console).cloned().collect();
        let requests = told
            .iter()
            .filter(|event| event["method"] == "Network.requestWillBeSent");
        let requests = requests.filter_map(|event| event["params"]["request"]["url"].as_str());
        let others = requests.filter(|asked| *asked != url && !asked.starts_with("data:"));
        (console, others.map(str::to_owned).collect())
    }

    /// What an expression gives in the page.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.ask("Runtime.evaluate", &asked);
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// A picture of the whole page, as PNG in base64.
    pub(crate) fn picture(&mut self) -> String {
        let picture = self.ask(
            "Page.captureScreenshot",
            &json!({ "format": "png", "captureBeyondViewport": true }),
        );
        picture["data"].as_str().expect("a picture").to_owned()
    }

    /// The page as it would be printed, as PDF in base64.
    pub(crate) fn printed(&mut self) -> String {
        let printed = self.ask("Page.printToPDF", &json!({ "preferCSSPageSize": true }));
        printed["data"].as_str().expect("a document").to_owned()
    }

    fn ask(&mut self, method: &str, parameters: &Value) -> Value {
        self.next_id += 1;
        let id = self.next_id;
        let mut question = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            question["sessionId"] = json!(session);
        }
        self.socket
            .send(Message::text(question.to_string()))
            .expect("the browser listens");
        loop {
            let told = self.read();
            if told["id"] != id {
                self.events.push_back(told);
                continue;
            }
            assert!(told.get("error").is_none(), "{method}: {told}");
            return told["result"].clone();
        }
    }

    fn read(&mut self) -> Value {
        loop {
            if let Message::Text(text) = self.socket.read().expect("the browser answers") {
                return serde_json::from_str(&text).expect("JSON");
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Whatever became of the test, it is not to stay. What was started may be a script that waits for the browser, so
        // that the browser is asked first.
        let close = json!({ "id": 0, "method": "Browser.close" });
        let _ = self.socket.send(Message::text(close.to_string()));
        while self.socket.read().is_ok() {}
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
