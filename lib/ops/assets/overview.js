// Applies the stream's changes to the overview: texts and attributes in place. A part whose layout has changed is taken
// from a freshly rendered page, unless the pointer or the focus is on it.
(() => {
  const CALM = new Set(['issues', 'events']);
  const LOST_MS = 10_000;
  let targets = new Map();
  // All values that the stream has sent so far: it sends only those that change.
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
      // Screen readers would read out the same text again.
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
        // A worker whose event loop is blocked still gets connections: the next attempt may reach another one.
        signal: AbortSignal.timeout(3000),
      });
      if (!answer.ok || answer.redirected) return;
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      for (const part of stale) {
        const fresh = page.querySelector(`[data-part="${part.dataset.part}"]`);
        if (fresh && !inUse(part)) part.replaceWith(document.adoptNode(fresh));
      }
      find();
      // The fresh page may have been rendered before the last messages were sent.
      for (const [key, value] of told) put(key, value);
    } catch {
      // The next message triggers another attempt.
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
