import type { Translate } from '../core/i18n';

/** Folder below `layouts/` that wraps each part, or false for none; or each of the two told apart. */
export type Layout = string | false | { readonly html: string | false; readonly text: string | false };

/** What becomes the parts of one mail. */
export interface RenderRequest {
  /** Folder below the templates, such as `user_mailer/welcome`; it holds `html.ejs`, `text.ejs` or both. */
  readonly template: string;
  readonly layout: Layout;
  readonly locale: string;
  readonly t: Translate;
  readonly subject: string;
  /** Win over every name that the renderer itself offers to templates. */
  readonly locals: Readonly<Record<string, unknown>>;
  /** Functions that the mailer offers to templates: `urlFor(path, query)`, `cid(name)`. Locals win over them. */
  readonly helpers?: Readonly<Record<string, unknown>>;
}

export interface Parts {
  readonly html?: string;
  /** Derived from the HTML when there is no `text.ejs`. */
  readonly text: string;
}

/** What a renderer of the app's own gives: HTML, text or both. Text is derived from the HTML when it is left out. */
export interface RenderedParts {
  readonly html?: string | undefined;
  readonly text?: string | undefined;
}

/**
 * Renders mails in the app's own way (mjml, react-email): `mailSetup`'s `render`.
 * @param standard renders with the templates as usual, for the mails that are not the app's own renderer's.
 */
export type Render = (
  request: RenderRequest,
  standard: () => Promise<Parts>,
) => RenderedParts | Parts | Promise<RenderedParts | Parts>;

/** The layout of one part. */
export function layoutFor(layout: Layout, part: 'html' | 'text'): string | false {
  return typeof layout === 'object' ? layout[part] : layout;
}
