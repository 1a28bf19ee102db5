// This file is loaded first in each process of the tree. It sets `Date` ahead of the true time by the number of ms in a
// file, within a tenth of a second. Timers and `performance.now()` do not change, just as when a real clock is set.
const fs = require('node:fs');

const file = process.env.CHAOS_CLOCK;
const TrueDate = Date;
let offset = 0;

const read = () => {
  offset = Number(fs.readFileSync(file, 'utf8')) || 0;
};
if (file && fs.existsSync(file)) {
  read();
  setInterval(() => {
    try {
      read();
    } catch {
      // The run has ended and removed the file.
    }
  }, 100).unref();
  const now = () => TrueDate.now() + offset;
  globalThis.Date = new Proxy(TrueDate, {
    construct: (target, args, newTarget) => Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget),
    apply: () => new TrueDate(now()).toString(),
    get: (target, name, receiver) => (name === 'now' ? now : Reflect.get(target, name, receiver)),
  });
}
