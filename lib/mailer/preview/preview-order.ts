import type { PreviewName } from './preview-folder';

interface OfOnePreview extends PreviewName {
  readonly locale: string | null;
}

/** What a web worker asks of the process that renders previews. */
export type PreviewOrder = { readonly id: number } & (
  | { readonly ask: 'names' }
  | ({ readonly ask: 'mail' } & OfOnePreview)
  /** Really sends it, to this address instead of its own recipients; `prefix` comes before its subject. */
  | ({ readonly ask: 'send'; readonly to: string; readonly prefix: string } & OfOnePreview)
);

/** What came of it. Plain data. */
export type PreviewReply =
  | { readonly kind: 'names'; readonly names: readonly PreviewName[] }
  | PreviewedMail
  /** `response`: what the server answered, or where the mail lies. */
  | { readonly kind: 'sent'; readonly response: string }
  /** The action builds no mail for what the preview gives it. */
  | { readonly kind: 'none' }
  /** There is no preview of that name. */
  | { readonly kind: 'unknown' }
  | PreviewFault;

export interface PreviewedMail {
  readonly kind: 'mail';
  /** The whole message, in base64. */
  readonly eml: string;
  /** Not in the message. */
  readonly bcc: readonly string[];
  /** That it is in. */
  readonly locale: string;
}

/** The preview, the action or a template failed. */
export interface PreviewFault {
  readonly kind: 'fault';
  readonly name: string;
  readonly message: string;
  /** Where, if that is known: relative to the app's root; `line` counts from 1. */
  readonly file: string | null;
  readonly line: number | null;
  /** The lines around it. */
  readonly excerpt: { readonly from: number; readonly lines: readonly string[] } | null;
  readonly stack: string;
}
