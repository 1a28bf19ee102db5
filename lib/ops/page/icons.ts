/** What an icon draws, in a box of 16 by 16, in the colour of the text. */
const DRAWINGS = {
  bad: '<path d="M5.3 1.5h5.4l3.8 3.8v5.4l-3.8 3.8H5.3l-3.8-3.8V5.3z"/><path d="m6 6 4 4m0-4-4 4"/>',
  db: '<ellipse cx="8" cy="3.8" rx="5.2" ry="2.2"/><path d="M2.8 3.8v8.4c0 1.2 2.3 2.2 5.2 2.2s5.2-1 5.2-2.2V3.8M2.8 8c0 1.2 2.3 2.2 5.2 2.2s5.2-1 5.2-2.2"/>',
  deploy: '<path d="M8 10.5v-8M4.8 5.6 8 2.4l3.2 3.2M2.5 13.5h11"/>',
  drain: '<circle cx="8" cy="8" r="6.5"/><path d="M8 4.8v6m-2.4-2.3L8 10.9l2.4-2.4"/>',
  inbox: '<path d="M2 9.5 4 3.2h8l2 6.3v3.3H2z"/><path d="M2 9.5h3.4l1 1.6h3.2l1-1.6H14"/>',
  key: '<circle cx="5" cy="11" r="2.8"/><path d="m7 9 6.5-6.5M11 5l2 2"/>',
  mail: '<rect x="1.8" y="3.2" width="12.4" height="9.6" rx="1.4"/><path d="m2 4.4 6 4.4 6-4.4"/>',
  more: '<circle cx="8" cy="8" r="6.5"/><path d="M5.2 8h.1M8 8h.1M10.800 8h.1"/>',
  ok: '<circle cx="8" cy="8" r="6.5"/><path d="m5.2 8.2 2 2 3.6-4"/>',
  restart: '<path d="M13.5 8a5.5 5.5 0 1 1-1.7-4"/><path d="M13.8 1.6v3h-3"/>',
  unknown:
    '<circle cx="8" cy="8" r="6.5" stroke-dasharray="2.6 2.4"/><path d="M6.4 6.4a1.7 1.7 0 1 1 2.5 1.5c-.6.3-.9.7-.9 1.2M8 11.2v.1"/>',
  warn: '<path d="M8 2 14.5 13.5h-13z"/><path d="M8 6.5v3M8 11.6v.1"/>',
} as const;

export type IconName = keyof typeof DRAWINGS;

/** The icons of one page: each is drawn once, at its top, and pointed to wherever it is shown. */
export class Icons {
  private readonly used = new Set<IconName>();

  readonly show = (name: IconName): string => {
    this.used.add(name);
    return `<svg class="i" viewBox="0 0 16 16" aria-hidden="true"><use href="#i-${name}"/></svg>`;
  };

  sprite(): string {
    const symbols = [...this.used].map(
      (name) => `<symbol id="i-${name}" viewBox="0 0 16 16">${DRAWINGS[name]}</symbol>`,
    );
    return `<svg hidden>${symbols.join('')}</svg>`;
  }
}
