// Changes the overview as its stream tells: texts and attributes, in place. What consists of something else by now is
// taken from the page made anew, but not under a pointer or focus.
(() => {
  const CALM = new Set(['issues', 'events']);
  const LOST_MS = 10_000;
  let targets = new Map();
  // What the stream takes this page to show: it sends no value twice.
  const told = new Map();
  let renewing = false;
  let lost;

  const add = (key, target) => targets.set(key, [...(targets.get(key) ?? []), target]);
  const find = () => {
    targets = new Map();
    for (const element of document.querySelectorAll('[data-t]')) add(element.dataset.t, { element });
    for (const element of document.querySelectorAll('[data-on]')) add(element.dataset.on, { element, pips: true });
    for (const element of document.querySelectorAll('[data-a]')) {
      for (const pair of element.dataset.a.split(';')) {
        const colon = pair.indexOf(':');
        add(pair.slice(colon + 1), { element, name: pair.slice(0, colon) });
      }
    }
  };

  const set = ({ element, name, pips }, value) => {
    if (pips) {
      for (const [i, pip] of [...element.children].entries()) pip.classList.toggle('on', i < value);
    } else if (name === undefined) {
      // The same text again would be read out again.
      if (element.textContent !== String(value)) element.textContent = value;
    } else if (value === null) element.removeAttribute(name);
    else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
  };

  const put = (key, value) => {
    for (const target of targets.get(key) ?? []) set(target, value);
  };

  const renew = async (fingerprints) => {
    const stale = [...document.querySelectorAll('[data-part]')].filter(
      (part) =>
        fingerprints[part.dataset.part] !== undefined &&
        fingerprints[part.dataset.part] !== part.dataset.fingerprint &&
        !inUse(part),
    );
    if (stale.length === 0 || renewing) return;
    renewing = true;
    try {
      const answer = await fetch(location.href, {
        headers: { Accept: 'text/html' },
        // A worker whose loop is blocked takes connections all the same: another one answers the next time.
        signal: AbortSignal.timeout(3000),
      });
      if (!answer.ok || answer.redirected) return;
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      for (const part of stale) {
        const fresh = page.querySelector(`[data-part="${part.dataset.part}"]`);
        if (fresh && !inUse(part)) part.replaceWith(document.adoptNode(fresh));
      }
      find();
      // The page that they come from may have been made before the last messages.
      for (const [key, value] of told) put(key, value);
    } catch {
      // The next message asks again.
    } finally {
      renewing = false;
    }
  };
  const inUse = (part) =>
    part.contains(document.activeElement) || (CALM.has(part.dataset.part) && part.matches(':hover'));

  document.addEventListener('live:overview', ({ detail: { values, fingerprints } }) => {
    for (const [key, value] of Object.entries(values)) {
      told.set(key, value);
      put(key, value);
    }
    renew(fingerprints);
  });

  // A process without heartbeats is shown as unknown, not as it was.
  document.addEventListener('live:lost', () => {
    lost ??= setTimeout(() => {
      for (const process of document.querySelectorAll('.proc')) {
        process.dataset.state = 'unknown';
        process.dataset.line = 'dashed';
        for (const use of process.querySelectorAll(':scope > .node > .node-head use'))
          use.setAttribute('href', '#i-unknown');
        for (const number of process.querySelectorAll(':scope > .node :is(.now, dd)')) number.textContent = '–';
        for (const pip of process.querySelectorAll(':scope > .node .pips > .on')) pip.classList.remove('on');
      }
    }, LOST_MS);
  });
  document.addEventListener('live:back', () => {
    clearTimeout(lost);
    lost = undefined;
  });

  find();
})();
