// Preloaded into every process of a tree: when the process exits, it writes which files were loaded, and which parts of Intl
// were used, whose data is loaded on first use.
const fs = require('node:fs');
const path = require('node:path');

const intl = new Set();
for (const name of ['DateTimeFormat', 'Collator', 'NumberFormat', 'PluralRules', 'RelativeTimeFormat', 'ListFormat']) {
  const noting =
    (work) =>
    (...args) => {
      intl.add(name);
      return work(...args);
    };
  Intl[name] = new Proxy(Intl[name], { construct: noting(Reflect.construct), apply: noting(Reflect.apply) });
}
for (const [kind, names] of [
  [String, ['localeCompare', 'toLocaleUpperCase', 'toLocaleLowerCase']],
  [Number, ['toLocaleString']],
  [Date, ['toLocaleString', 'toLocaleDateString', 'toLocaleTimeString']],
]) {
  for (const name of names) {
    const usual = kind.prototype[name];
    kind.prototype[name] = function (...args) {
      intl.add(name);
      return usual.apply(this, args);
    };
  }
}

process.once('exit', () => {
  const report = JSON.stringify({ title: process.title, loaded: Object.keys(require.cache), intl: [...intl] });
  fs.writeFileSync(path.join(process.env.REPORT_TO, `${process.pid}.json`), report);
});
