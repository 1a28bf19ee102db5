import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { askApp } from '../../../lib/cli/app/ask-app';
import { runGenerator } from '../../../lib/cli/generate/run-generator';
import { linkPackages, writeFiles } from '../../support/app-folder';
import { tempFolder } from '../../support/temp-folder';

export const ROOT = path.resolve(__dirname, '../../..');

export interface Shape {
  readonly typescript: boolean;
  readonly esm: boolean;
}

const answers = new Map<string, ReturnType<typeof askApp>>();

/** Asks once for each text of a manifest, since the answer does not depend on the folder. */
function askOnce(folder: string): ReturnType<typeof askApp> {
  const manifest = ['app.ts', 'app.js'].map((file) => path.join(folder, file)).find((file) => fs.existsSync(file));
  const key = manifest === undefined ? folder : `${path.basename(manifest)} ${fs.readFileSync(manifest, 'utf8')}`;
  const answer = answers.get(key) ?? askApp(folder);
  answers.set(key, answer);
  return answer;
}

/** A minimal app: package.json, the entry file, the manifest, and for TypeScript tsconfig.json. */
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
    const entry = commonJs
      ? "require('catamount').boot(require('./app'));\n"
      : `import { boot } from 'catamount';\nimport app from './app${esm ? '.js' : ''}';\n\nvoid boot(app);\n`;
    this.write(typescript ? 'server.ts' : 'server.js', entry);
    linkPackages(this.folder, ['tsx']);
    if (typescript) this.write('tsconfig.json', `${JSON.stringify(tsconfig(esm), null, 2)}\n`);
  }

  write(file: string, content: string): void {
    writeFiles(this.folder, { [file]: content });
  }

  read(file: string): string {
    return fs.readFileSync(path.join(this.folder, file), 'utf8');
  }

  /** All files except those that make up the app itself. */
  files(): string[] {
    const ofApp = /^(?:package\.json|tsconfig\.json|(?:app|server)\.[jt]s|node_modules)$/;
    return fs
      .readdirSync(this.folder)
      .filter((name) => !ofApp.test(name))
      .flatMap((name) => filesBelow(this.folder, name))
      .map((file) => file.replace(/\d{14}/, '<time>'))
      .sort();
  }

  /** Runs `catamount` with the words of the line, none of which may contain a space. @returns what it prints. @throws UserError. */
  async catamount(line: string): Promise<string> {
    const [verb, ...args] = line.split(' ');
    let printed = '';
    const print = (text: string) => {
      printed += text;
    };
    assert.equal(verb, 'generate');
    await runGenerator(args, this.folder, print, askOnce);
    return printed;
  }
}

function filesBelow(folder: string, name: string): string[] {
  if (!fs.statSync(path.join(folder, name)).isDirectory()) return [name];
  return fs.readdirSync(path.join(folder, name)).flatMap((entry) => filesBelow(folder, path.join(name, entry)));
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
];
