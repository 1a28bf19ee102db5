/** What a view writes beside a value so that the page's script (`assets/overview.js`) can change it. */
export const patch = {
  /** The element's text is this value. */
  text: (key: string): string => ` data-t="${liveKey(key)}"`,

  /** These attributes are these values; one that is null is not there. */
  attr: (keys: Readonly<Record<string, string>>): string => {
    const pairs = Object.entries(keys).map(([name, key]) => `${name}:${liveKey(key)}`);
    return ` data-a="${pairs.join(';')}"`;
  },

  /** As many of the element's children as the value says are on. */
  pips: (key: string): string => ` data-on="${liveKey(key)}"`,

  /** @param drawn by `icon`. @param className with a key of its own where it changes, too. */
  icon: (drawn: string, key: string, className = 'i', classKey?: string): string =>
    drawn
      .replace('class="i"', `class="${className}"${classKey === undefined ? '' : patch.attr({ class: classKey })}`)
      .replace('<use ', `<use${patch.attr({ href: key })} `),
};

/** Names of queues are part of keys. */
export function liveKey(key: string): string {
  return key.replace(/[^\w.:-]/g, '_');
}
