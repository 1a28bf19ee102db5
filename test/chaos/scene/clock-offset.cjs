// Loaded before everything else in each process of the tree: `Date` is ahead of the true time by as many ms as the file
// says, within a tenth of a second. Timers and `performance.now()` do not change, as they do not when a clock is set.
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
      // The run is over.
    }
  }, 100).unref();
  const now = () => TrueDate.now() + offset;
  globalThis.Date = new Proxy(TrueDate, {
    construct: (target, args, newTarget) => Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget),
    apply: () => new TrueDate(now()).toString(),
    get: (target, name, receiver) => (name === 'now' ? now : Reflect.get(target, name, receiver)),
  });
}
