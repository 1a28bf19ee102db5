import fs from 'node:fs';
import path from 'node:path';
import ejs from 'ejs';
import type { AppLayout } from '../app/app-layout';

const TEMPLATES = path.join(__dirname, 'templates');

/** Helpers of the templates for code that differs by language and module system. EJS prints what they return: `''` is nothing. */
export interface SourceHelpers {
  readonly ts: boolean;
  readonly esm: boolean;
  /** true for CommonJS in JavaScript, the only kind of source without `import` and `export`. */
  readonly cjs: boolean;
  /** Adds an import of names: `use('Job', 'catamount')`. Types, such as `type Routes`, are left out in JavaScript. */
  use(names: string, from: string): '';
  /** Adds an import of types, in TypeScript only. */
  useType(names: string, from: string): '';
  /** Adds an import of the class in a file of the app. */
  useClass(name: string, file: string): '';
  /** Adds an import of named exports of a file of the app. */
  useNames(names: string, file: string): '';
  /** Adds an import of the default export of a file of the app. */
  useDefault(name: string, file: string): '';
  /** Adds a default import of a package. */
  usePackage(name: string, from: string): '';
  readonly exportClass: string;
  readonly exportDefault: string;
  /** The closing brace of an exported class, in CommonJS with the semicolon of the assignment. */
  readonly classEnd: string;
  /** @returns the text and a space in TypeScript, else ''. */
  only(text: string): string;
}

/**
 * Renders a template as a file of the app: its imports first, in the order that linters expect, then its code.
 * @param file the file's path in the app, on which relative imports depend.
 */
export function renderSource(template: string, file: string, layout: AppLayout, values: object): string {
  const imports = new Map<string, string>();
  const module = new ModuleSyntax(layout, path.posix.dirname(file));
  const add = (from: string, line: string): '' => {
    if (line !== '') imports.set(from, line);
    return '';
  };
  const { typescript: ts } = layout;
  const helpers: SourceHelpers = {
    ts,
    esm: layout.esm,
    cjs: module.isCommonJs,
    use: (names, from) => add(from, module.named(names, from)),
    useType: (names, from) => add(from, ts ? `import type { ${names} } from '${from}';` : ''),
    useClass: (name, target) => add(module.specifier(target), module.class(name, target)),
    useNames: (names, target) => add(module.specifier(target), module.named(names, module.specifier(target))),
    useDefault: (name, target) => add(module.specifier(target), module.default(name, module.specifier(target))),
    usePackage: (name, from) => add(from, module.default(name, from)),
    exportClass: module.isCommonJs ? 'module.exports = class' : 'export class',
    exportDefault: module.isCommonJs ? 'module.exports = class' : 'export default class',
    classEnd: module.isCommonJs ? '};' : '}',
    only: (text) => (ts ? `${text} ` : ''),
  };
  const body = renderText(template, { ...values, ...helpers });
  const lines = [...imports].sort(([a], [b]) => rank(a) - rank(b) || (a < b ? -1 : 1)).map(([, line]) => line);
  return lines.length === 0 ? body : `${lines.join('\n')}\n\n${body}`;
}

/** Renders a template without adding imports, and trims the result. */
export function renderText(template: string, values: object): string {
  const file = path.join(TEMPLATES, `${template}.ejs`);
  // The delimiter differs from that of mail templates, which are written into the app unrendered.
  const text = ejs.render(fs.readFileSync(file, 'utf8'), values, { escape: String, delimiter: '?', filename: file });
  return `${text.trim()}\n`;
}

function rank(from: string): number {
  if (from.startsWith('node:')) return 0;
  return from.startsWith('.') ? 2 : 1;
}

/** How the files of an app import each other. TypeScript always uses `import`, whatever it is compiled to. */
class ModuleSyntax {
  readonly isCommonJs: boolean;

  constructor(
    private readonly layout: AppLayout,
    private readonly from: string,
  ) {
    this.isCommonJs = !layout.typescript && !layout.esm;
  }

  specifier(target: string): string {
    const relative = path.posix.relative(this.from, target);
    return `${relative.startsWith('.') ? '' : './'}${relative}${this.layout.extension}`;
  }

  named(names: string, from: string): string {
    const list = names.split(', ').filter((name) => this.layout.typescript || !name.startsWith('type '));
    if (list.length === 0) return '';
    const [head, tail] = this.isCommonJs ? ['const', `= require('${from}')`] : ['import', `from '${from}'`];
    const line = `${head} { ${list.join(', ')} } ${tail};`;
    // Longer lines are broken as formatters would break them.
    return line.length <= 120 ? line : `${head} {\n${list.map((name) => `  ${name},\n`).join('')}} ${tail};`;
  }

  /** In CommonJS a file's exports are its class; otherwise the class is exported by name. */
  class(name: string, target: string): string {
    const from = this.specifier(target);
    return this.isCommonJs ? this.default(name, from) : `import { ${name} } from '${from}';`;
  }

  default(name: string, from: string): string {
    return this.isCommonJs ? `const ${name} = require('${from}');` : `import ${name} from '${from}';`;
  }
}
