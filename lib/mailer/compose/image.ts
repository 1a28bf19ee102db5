import { InvalidMailError } from '../definition/errors';
import type { UrlFor } from '../definition/mail-types';

/** Attributes of an image; null and undefined leave one out. */
export type ImageAttributes = Readonly<Record<string, string | number | null | undefined>>;

/** URLs that name an image by themselves: those of `cid()` and `inline()`, and of other sites. */
const ABSOLUTE = /^(?:cid|https?):/i;

/**
 * Makes the helper `<%- image('logo.png', { alt: 'Shop', width: 120 }) %>`. Without `alt` a reader's program skips the image.
 * @returns a function that throws InvalidMailError for a path outside of the asset host, or a name that is no attribute's.
 */
export function imagesAt(assetUrl: UrlFor): (source: string, attributes?: ImageAttributes) => string {
  return (source, attributes = {}) => {
    const src = ABSOLUTE.test(source) ? source : assetUrl(source);
    const written = Object.entries({ alt: '', ...attributes, src }).flatMap(([name, value]) => {
      if (!/^[a-z][a-z-]*$/i.test(name)) throw new InvalidMailError(`image: ${JSON.stringify(name)} is no attribute`);
      return value === undefined || value === null ? [] : [`${name}="${escaped(String(value))}"`];
    });
    return `<img ${written.join(' ')}>`;
  };
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (one) => `&#${one.charCodeAt(0)};`);
}
