// Takes over what differs in the page that the stream sends: texts and attributes in place, so that the focus and the
// pointer stay where they are.
(() => {
  const CALM = new Set(['issues', 'events', 'mails']);
  const LOST_MS = 10_000;
  // The page as the server has rendered it last.
  let rendered = [];
  // Parts in use have not been updated.
  let skipped = false;
  let lost;

  // What elements it consists of, whatever their texts and attributes.
  const shape = (node) => `${node.nodeName}${node.id ?? ''}(${[...node.childNodes].map(shape).join()})`;

  // A list never changes under the pointer, nor the elements of a part with the focus.
  const isInUse = (part, fresh) =>
    (CALM.has(part.dataset.part) && (part.matches(':hover') || part.contains(document.activeElement))) ||
    (part.contains(document.activeElement) && shape(part) !== shape(fresh));

  const setAttributes = (node, fresh) => {
    for (const { name } of [...node.attributes]) if (!fresh.hasAttribute(name)) node.removeAttribute(name);
    for (const { name, value } of fresh.attributes)
      if (node.getAttribute(name) !== value) node.setAttribute(name, value);
  };

  const update = (node, fresh) => {
    if (node.nodeName !== fresh.nodeName || node.id !== fresh.id) return node.replaceWith(document.adoptNode(fresh));
    if (node.nodeType !== Node.ELEMENT_NODE) {
      // Screen readers would read out the same text again.
      if (node.data !== fresh.data) node.data = fresh.data;
      return;
    }
    setAttributes(node, fresh);
    const [shown, wanted] = [[...node.childNodes], [...fresh.childNodes]];
    for (const [i, child] of wanted.entries()) {
      if (!shown[i]) node.append(document.adoptNode(child));
      // A part within a part is updated by itself.
      else if (!child.dataset?.part) update(shown[i], child);
    }
    for (const child of shown.slice(wanted.length)) child.remove();
  };

  document.addEventListener('live:parts', ({ detail: { lines, changed = [] } }) => {
    if (lines) rendered = lines;
    else if (changed.length === 0 && !skipped) return;
    for (const [i, line] of changed) rendered[i] = line;
    const page = new DOMParser().parseFromString(rendered.join('\n'), 'text/html');
    skipped = false;
    for (const part of document.querySelectorAll('[data-part]')) {
      const fresh = page.querySelector(`[data-part="${part.dataset.part}"]`);
      if (fresh && isInUse(part, fresh)) skipped = true;
      else if (fresh) update(part, fresh);
    }
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
})();
