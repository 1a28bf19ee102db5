import fs from 'node:fs';
import path from 'node:path';

const LINK = /<link\b(?:[^>"']|"[^"]*"|'[^']*')*>/gi;

/**
 * Puts style sheets that are linked into HTML, where they are files of the templates' own folder. Any other link stays as
 * it is: the HTML may hold what somebody has written, and must fetch nothing from our network and read none of our files.
 * @param root the templates' folder.
 */
export function withOwnStyleSheets(html: string, root: string): string {
  return html.replace(LINK, (link) => {
    if (!attributeOf(link, 'rel')?.toLowerCase().split(/\s+/).includes('stylesheet')) return link;
    const css = ownFile(attributeOf(link, 'href') ?? '', root);
    if (css === undefined) return link;
    const media = attributeOf(link, 'media');
    return `<style>\n${media === undefined ? css : `@media ${media} {\n${css}\n}`}\n</style>`;
  });
}

function attributeOf(tag: string, name: string): string | undefined {
  const found = new RegExp(`\\s${name}\\s*=\\s*(?:"([^"]*)"|'([^']*)'|([^\\s"'>]+))`, 'i').exec(tag);
  return found?.slice(1).find((value) => value !== undefined);
}

/** @returns undefined for a URL, for what is no style sheet, and for what lies elsewhere, by a symbolic link, too. */
function ownFile(href: string, root: string): string | undefined {
  if (!/^[\w./-]+\.css$/.test(href)) return undefined;
  try {
    const folder = fs.realpathSync(root);
    const file = fs.realpathSync(path.resolve(folder, href));
    return file.startsWith(folder + path.sep) ? fs.readFileSync(file, 'utf8') : undefined;
  } catch {
    return undefined;
  }
}
