import { InvalidMailError } from './errors';

type QueryValue = string | number | boolean | null | undefined;
export type UrlQuery = Readonly<Record<string, QueryValue | readonly QueryValue[]>>;

/** `urlFor('/orders/7', { from: 'mail' })` → `https://shop.example/orders/7?from=mail`. */
export type UrlFor = (path: string, query?: UrlQuery) => string;

/**
 * Absolute links below APP_URL: a mail has no page that a relative link could start from.
 * @param appUrl may have a path of its own, which paths are then below.
 */
export function urlsBelow(appUrl: string): UrlFor {
  return (path, query = {}) => {
    const url = resolve(new URL(appUrl), path);
    if (!url) {
      throw new InvalidMailError(
        `urlFor: ${JSON.stringify(path)} is not below APP_URL, which is ${appUrl}; give a path such as /orders/7`,
      );
    }
    for (const [name, value] of Object.entries(query)) {
      url.searchParams.delete(name);
      for (const each of [value].flat()) {
        if (each !== undefined && each !== null) url.searchParams.append(name, String(each));
      }
    }
    return url.toString();
  };
}

/** @returns undefined for what leads elsewhere, or may do so in a reader less strict than ours. */
function resolve(base: URL, path: string): URL | undefined {
  // Browsers read a backslash as a slash, and skip control characters.
  if (typeof path !== 'string' || /[\\\p{Cc}]/u.test(path) || path.trimStart().startsWith('//')) return undefined;
  const absolute = /^\s*[a-z][a-z0-9+.-]*:/i.test(path);
  const folder = base.pathname.replace(/\/+$/, '');
  const target = absolute ? path : `${base.origin}${folder}${/^[/?#]|^$/.test(path) ? '' : '/'}${path}`;
  if (!URL.canParse(target)) return undefined;
  const url = new URL(target);
  const foreign = url.origin !== base.origin || url.username !== '' || url.password !== '';
  const outside = folder !== '' && url.pathname !== folder && !url.pathname.startsWith(`${folder}/`);
  return foreign || outside ? undefined : url;
}
