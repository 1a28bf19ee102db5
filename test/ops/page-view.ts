/** What somebody sees of a page, by role and value. Texts have their white space collapsed. */
export interface PageView {
  /** The first heading is the title of the page. */
  readonly headings: readonly string[];
  /** The cells of each row of its tables. */
  readonly rows: readonly (readonly string[])[];
  /** Buttons, and links that look like them. */
  readonly buttons: readonly string[];
  /** Addresses, by the text of their link. */
  readonly links: ReadonlyMap<string, string>;
  /** Messages: what an action did, warnings and errors. */
  readonly notes: readonly string[];
  /** The values of its lists of facts, by name. */
  readonly facts: ReadonlyMap<string, string>;
  readonly text: string;
}

export function viewOf(html: string): PageView {
  const main = mainOf(html);
  const all = (pattern: RegExp) => [...main.matchAll(pattern)].map(([, value = '']) => textOf(value));
  const pairs = (pattern: RegExp) =>
    [...main.matchAll(pattern)].map(([, one = '', other = '']) => [textOf(one), textOf(other)] as const);
  return {
    headings: all(/<h[1-3][^>]*>([\s\S]*?)<\/h[1-3]>/g),
    rows: [...main.matchAll(/<tbody[^>]*>([\s\S]*?)<\/tbody>/g)].flatMap(([, body = '']) =>
      [...body.matchAll(/<tr[^>]*>([\s\S]*?)<\/tr>/g)].map(([, row = '']) =>
        [...row.matchAll(/<t[dh][^>]*>([\s\S]*?)<\/t[dh]>/g)].map(([, cell = '']) => textOf(cell)),
      ),
    ),
    buttons: all(/<(?:button|a class="btn)[^>]*>([\s\S]*?)<\/(?:button|a)>/g),
    links: new Map(pairs(/<a\b[^>]*href="([^"]*)"[^>]*>([\s\S]*?)<\/a>/g).map(([href, text]) => [text, href])),
    notes: all(/<(?:p|div)\b[^>]*(?:class="note|role="(?:status|alert)")[^>]*>([\s\S]*?)<\/p>/g).filter(Boolean),
    facts: new Map(pairs(/<dt>([\s\S]*?)<\/dt>\s*<dd[^>]*>([\s\S]*?)<\/dd>/g)),
    text: textOf(main),
  };
}

/** The text without tags, with white space collapsed; of a whole page, that of its main part. */
export function textOf(html: string): string {
  return mainOf(html)
    .replace(/<[^>]+>/g, ' ')
    .replace(/&#(\d+);/g, (_, code) => String.fromCodePoint(Number(code)))
    .replace(/&lt;/g, '<')
    .replace(/&gt;/g, '>')
    .replace(/&quot;/g, '"')
    .replace(/&amp;/g, '&')
    .replace(/\s+/g, ' ')
    .trim();
}

/** The hidden fields of its forms, but for the token. */
export function hiddenFields(html: string): Record<string, string[]> {
  const fields: Record<string, string[]> = {};
  for (const [, name = '', value = ''] of mainOf(html).matchAll(/<input type="hidden" name="(\w+)" value="([^"]*)"/g))
    if (name !== 'token') fields[name] = [...(fields[name] ?? []), value];
  return fields;
}

function mainOf(html: string): string {
  return /<main[^>]*>([\s\S]*)<\/main>/.exec(html)?.[1] ?? html;
}
