// The page's own computing: a Worker that answers with frames where the widget brings what is needed, else nothing.

// Returns null, or { ask(state), warm(state), idle(), close() }; `answered(frame)` hears each frame, `failed(unanswered)` that none can run here.
function makeEngine(model, answered, failed) {
  const source = model.get("page_source");
  if (!source || typeof Worker === "undefined") return null;
  const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const worker = new Worker(address);
  worker.onerror = () => failed(last !== asked);
  let asked = 0, last = 0;
  worker.onmessage = ({ data }) => {
    if (!data.number) return; // nobody asked: it was warming up
    last = data.number;
    answered(data);
  };
  const bytes = bytesOf(model.get("page_model"));
  worker.postMessage({ settings: model.get("page_settings"), model: bytes }, bytes ? [bytes] : []);
  return {
    ask(state) {
      asked += 1;
      worker.postMessage({ number: asked, state });
    },
    warm(state) { // a first frame takes longer than all others, so it is computed as soon as a hand comes near
      if (!asked) worker.postMessage({ number: 0, state });
    },
    idle: () => last === asked,
    close() {
      worker.terminate();
      URL.revokeObjectURL(address);
    },
  };
}

// The exported model, null where there is none: bytes from the kernel, or text in a page.
function bytesOf(given) {
  if (!given || given.byteLength === 0) return null; // the kernel's are a view even when there are none
  if (typeof given === "string") return Uint8Array.from(atob(given), (letter) => letter.charCodeAt(0)).buffer;
  return given.buffer.slice(given.byteOffset, given.byteOffset + given.byteLength);
}
