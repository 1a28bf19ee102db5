/**
 * Runs in a page on a phone. Finds links, buttons and fields that are too small to touch, elements that overlap, frames that
 * are taller than the window, and whether the page scrolls sideways.
 */
window.touchFaults = (least) => {
  const name = (element) => {
    const text = (
      element.textContent ||
      element.getAttribute('aria-label') ||
      element.getAttribute('name') ||
      ''
    ).trim();
    return `${element.tagName.toLowerCase()}${element.className && typeof element.className === 'string' ? `.${element.className.replaceAll(' ', '.')}` : ''} "${text.replace(/\s+/g, ' ').slice(0, 40)}"`;
  };
  const hidden = (element) => {
    if (element.closest('.sr, .skip, [hidden], svg, iframe')) return true;
    // Content of closed details is not visible either.
    return !element.checkVisibility({ visibilityProperty: true });
  };
  const area = (element) => {
    // A checkbox can also be ticked by its label.
    const label = element.matches('input[type="checkbox"]') ? element.closest('label') : null;
    return (label ?? element).getBoundingClientRect();
  };
  const shownIn = (element) => {
    const own = area(element);
    let [left, top, right, bottom] = [own.left, own.top, own.right, own.bottom];
    // Elements that are scrolled out of sight overlap nothing.
    for (let outer = element.parentElement; outer; outer = outer.parentElement) {
      if (getComputedStyle(outer).overflowX === 'visible') continue;
      const box = outer.getBoundingClientRect();
      [left, right] = [Math.max(left, box.left), Math.min(right, box.right)];
      [top, bottom] = [Math.max(top, box.top), Math.min(bottom, box.bottom)];
    }
    return new DOMRect(left, top, Math.max(0, right - left), Math.max(0, bottom - top));
  };
  const targets = [...document.querySelectorAll('a[href], button, input:not([type="hidden"]), select, summary')].filter(
    (element) => !hidden(element) && area(element).width > 0,
  );
  // A finger meets the whole of a row whose link lies over it: that is tried at the row's edges.
  const touched = (element) => {
    const own = area(element);
    const row = element.closest('li')?.getBoundingClientRect();
    if (!row || own.height >= least || row.bottom < 0 || row.top > innerHeight) return own;
    const isHit = (y) => document.elementFromPoint(row.right - 4, y) === element;
    return isHit(row.top + 2) && isHit(row.bottom - 2) ? row : own;
  };
  const small = targets
    .filter(
      (element) => shownIn(element).width > 2 && shownIn(element).height > 2 && touched(element).height < least - 0.5,
    )
    .map((element) => `${Math.round(touched(element).height)} px ${name(element)}`);

  // Texts, as the boxes of their lines.
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const texts = [];
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const element = node.parentElement;
    if (!element || !node.textContent?.trim() || hidden(element) || element.closest('script, option')) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const bounds = shownIn(element);
    const boxes = [...range.getClientRects()].filter((box) => box.right > bounds.left && box.left < bounds.right);
    texts.push({ element, boxes });
  }
  const covers = (a, b) => {
    const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    return width > 2 && height > 2;
  };
  const related = (a, b) => a.contains(b) || b.contains(a) || a.closest('label') === (b.closest('label') ?? b);
  const overlaps = new Set();
  for (const [i, target] of targets.entries()) {
    // Sticky elements overlap the rest on purpose: the page scrolls under them.
    if (target.closest('.bulk')) continue;
    const box = shownIn(target);
    if (box.width < 3 || box.height < 3) continue;
    for (const other of targets.slice(i + 1))
      if (!other.closest('.bulk') && !related(target, other) && covers(box, shownIn(other)))
        overlaps.add(`${name(target)} on ${name(other)}`);
    for (const { element, boxes } of texts)
      if (!element.closest('.bulk') && !related(target, element) && boxes.some((each) => covers(box, each)))
        overlaps.add(`${name(target)} on the text ${name(element)}`);
  }
  const { scrollWidth, clientWidth } = document.documentElement;
  const tall = [...document.querySelectorAll('iframe')].filter((frame) => frame.clientHeight > innerHeight).map(name);
  return { small, overlaps: [...overlaps], sideways: scrollWidth > clientWidth, tall };
};
