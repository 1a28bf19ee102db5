/** Colours of the pages; `auto`: those of the operating system. */
export const THEMES = ['auto', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];
