// The stream of server-sent events, opened again whenever it breaks or falls silent.

const SILENCE_MS = 6000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 5000;

// handlers: {kind: function(values)}; said: function(connected)
export function listen(handlers, said) {
  let source = null;
  let wait = FIRST_WAIT_MS;
  let silence = 0;

  function heard() {
    clearTimeout(silence);
    silence = setTimeout(again, SILENCE_MS);
    wait = FIRST_WAIT_MS;
    said(true);
  }

  function again() {
    clearTimeout(silence);
    if (source) source.close();
    source = null;
    said(false);
    setTimeout(open, wait);
    wait = Math.min(2 * wait, LONGEST_WAIT_MS);
  }

  function open() {
    source = new EventSource("events");
    silence = setTimeout(again, SILENCE_MS);
    source.onerror = again;
    for (const [kind, handle] of Object.entries(handlers)) {
      source.addEventListener(kind, (event) => {
        heard();
        handle(JSON.parse(event.data));
      });
    }
  }

  open();
}

export function bytes(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}
