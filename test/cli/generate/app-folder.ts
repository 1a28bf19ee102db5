import fs from 'node:fs';
import path from 'node:path';
import { runGenerator } from '../../../lib/cli/generate/command';
import { tempFolder } from '../../support/temp-folder';

export const ROOT = path.resolve(__dirname, '../../..');

export interface Shape {
  readonly typescript: boolean;
  readonly esm: boolean;
}

/** A minimal app: package.json, the manifest, and for TypeScript tsconfig.json. */
export class AppFolder {
  readonly folder = tempFolder('generate');

  constructor({ typescript, esm }: Shape, options = '') {
    this.write('package.json', `${JSON.stringify({ name: 'shop', ...(esm && { type: 'module' }) }, null, 2)}\n`);
    const commonJs = !typescript && !esm;
    const head = commonJs
      ? "const { defineApp } = require('catamount');\n\nmodule.exports ="
      : "import { defineApp } from 'catamount';\n\nexport default";
    const root = esm ? 'import.meta.dirname' : '__dirname';
    const manifest = `${head} defineApp({ name: 'shop', root: ${root}, routes: () => import('./routes.js')${options} });\n`;
    this.write(typescript ? 'app.ts' : 'app.js', manifest);
    if (typescript) this.write('tsconfig.json', `${JSON.stringify(tsconfig(esm), null, 2)}\n`);
  }

  write(file: string, content: string): void {
    const target = path.join(this.folder, file);
    fs.mkdirSync(path.dirname(target), { recursive: true });
    fs.writeFileSync(target, content);
  }

  read(file: string): string {
    return fs.readFileSync(path.join(this.folder, file), 'utf8');
  }

  /** All files except those that make up the app itself. */
  files(): string[] {
    return fs
      .readdirSync(this.folder, { recursive: true, encoding: 'utf8' })
      .filter((file) => fs.statSync(path.join(this.folder, file)).isFile())
      .filter((file) => !/^(?:package\.json|tsconfig\.json|app\.[jt]s)$/.test(file))
      .map((file) => file.replace(/\d{14}/, '<time>'))
      .sort();
  }

  /** Runs `catamount` with the words of the line, none of which may contain a space. @returns what it prints. @throws UserError. */
  catamount(line: string): string {
    const [verb, ...args] = line.split(' ');
    let printed = '';
    runGenerator(verb === 'destroy' ? 'destroy' : 'generate', args, this.folder, (text) => {
      printed += text;
    });
    return printed;
  }
}

const tsconfig = (esm: boolean) => ({
  compilerOptions: {
    target: 'es2023',
    ...(esm ? { module: 'nodenext' } : { module: 'commonjs', moduleResolution: 'bundler' }),
    types: ['node'],
    strict: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
    noImplicitOverride: true,
    noUnusedParameters: true,
    noUnusedLocals: true,
    skipLibCheck: true,
    noEmit: true,
  },
});

/** Every generator, with and without arguments. */
export const EVERYTHING = [
  'job tidy',
  'job WelcomeEmail userId count:number big:bigint at:Date really:boolean --queue mailer',
  'mailer UserMailer welcome passwordReset',
  'model Category',
  'model Post title views:integer price:decimal big:bigint done:boolean at:timestamp? key:uuid extra:json',
  'migration add_slug_to_posts slug? place:integer?',
  'migration tidy_up',
  'route posts',
];
