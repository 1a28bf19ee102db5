import fs from 'node:fs';
import path from 'node:path';
import { UserError } from '../core/errors';
import { toError } from '../support/async';
import { type JobClass, jobNameOf } from './definition/job-class';
import { compileOptions } from './definition/options';
import { Job } from './job';

/** The app's job classes by the name that jobs carry. */
export class JobRegistry {
  private readonly classes = new Map<string, JobClass>();

  constructor(classes: Iterable<JobClass> = []) {
    for (const jobClass of classes) this.add(jobClass);
  }

  /** @throws UserError when the name is taken; TypeError for invalid static options. */
  add(jobClass: JobClass): void {
    compileOptions(jobClass);
    const name = jobNameOf(jobClass);
    if (this.classes.has(name)) throw new UserError(`two job classes are named ${name}; give one another jobName`);
    this.classes.set(name, jobClass);
  }

  get(name: string): JobClass | undefined {
    return this.classes.get(name);
  }

  [Symbol.iterator](): Iterator<JobClass> {
    return this.classes.values();
  }
}

/**
 * Loads every job of a folder, but not of its subfolders, which may hold code that jobs share. A file default-exports
 * one subclass of `Job` and is named after it (`welcome-email.ts` holds `WelcomeEmailJob`). A missing folder holds
 * none.
 * @throws UserError that names the file and the reason.
 */
export function loadJobs(folder: string): JobRegistry {
  const registry = new JobRegistry();
  if (!fs.existsSync(folder)) return registry;
  for (const name of fs.readdirSync(folder).sort()) {
    if (!/\.(js|ts)$/.test(name) || name.endsWith('.d.ts')) continue;
    const file = path.join(folder, name);
    try {
      registry.add(jobClassOf(require(file), name));
    } catch (thrown) {
      const error = toError(thrown);
      throw Object.assign(new UserError(`${file}: ${error.message}`), { cause: error });
    }
  }
  return registry;
}

/** @throws UserError for a module that does not match its file's name. */
function jobClassOf(module: unknown, fileName: string): JobClass {
  const exported = (module as { readonly default?: unknown }).default ?? module;
  if (!isJobClass(exported)) {
    throw new UserError('a file in the jobs folder must default-export one subclass of Job');
  }
  const expected = `${kebabCase(exported.name.replace(/Job$/, ''))}`;
  const actual = fileName.replace(/\.(js|ts)$/, '');
  if (!exported.name.endsWith('Job') || expected === '') {
    throw new UserError(
      `its class is named ${exported.name || 'nothing'}; end the name in Job, such as ${pascalCase(actual)}Job`,
    );
  }
  if (actual !== expected) {
    throw new UserError(`it holds ${exported.name}; name the file ${expected}, or the class ${pascalCase(actual)}Job`);
  }
  return exported;
}

function isJobClass(value: unknown): value is JobClass {
  return typeof value === 'function' && value.prototype instanceof Job;
}

/** `HTMLReport` and `HtmlReport` both become `html-report`. */
function kebabCase(name: string): string {
  return name
    .replace(/([a-z0-9])([A-Z])/g, '$1-$2')
    .replace(/([A-Z])([A-Z][a-z])/g, '$1-$2')
    .toLowerCase();
}

function pascalCase(name: string): string {
  return name.replace(/(^|-)(\w)/g, (_, _dash, letter: string) => letter.toUpperCase());
}
