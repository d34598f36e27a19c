// The Worker in which a page computes its frames: one at a time, and the last one asked for wins.
// A widget's own file defines frameOf(model, settings, state), a generator that yields now and then and returns the data.
const PATIENCE_MS = 150; // a frame that takes longer is dropped as soon as a newer one is asked for; one that nobody sees, at once
const channel = new MessageChannel();
let imagined = null, fixed = null, wanted = null, working = false;

self.onmessage = ({ data }) => {
  if (data.settings) {
    imagined = data.model && readModel(data.model);
    fixed = data.settings;
    return;
  }
  wanted = data;
  if (!working) work();
};

async function work() {
  working = true;
  while (wanted) {
    const { number, state } = wanted, begin = performance.now();
    wanted = null;
    const answer = { number, state, data: null, error: null };
    try {
      const frames = frameOf(imagined, fixed, state);
      let step = frames.next();
      while (!step.done) {
        await turn();
        if (wanted && (!number || performance.now() - begin > PATIENCE_MS)) break;
        step = frames.next();
      }
      if (!step.done) continue;
      answer.data = step.value;
    } catch (error) {
      answer.error = error.message;
    }
    postMessage(answer);
  }
  working = false;
}

// Let messages in; a timer would wait four milliseconds each time.
const turn = () => new Promise((done) => {
  channel.port1.onmessage = done;
  channel.port2.postMessage(null);
});
