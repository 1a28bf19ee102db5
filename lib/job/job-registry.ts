import path from 'node:path';
import { UserError } from '../core/errors';

import { type LoadOptions, listExports, loadClasses, withoutExtension } from '../core/load-classes';
import { kebabCase, pascalCase } from '../support/class-names';

import type { JobClass } from './definition/job-class';
import { compileOptions, effectiveName } from './definition/options';
import { Job } from './job';

export class JobRegistry {
  private readonly classes = new Map<string, JobClass>();

  constructor(classes: Iterable<JobClass> = []) {
    for (const jobClass of classes) this.add(jobClass);
  }

  /** @throws UserError when the name is taken; TypeError for invalid static options. */
  add(jobClass: JobClass): void {
    compileOptions(jobClass);
    const name = effectiveName(jobClass);
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

export interface LoadJobsOptions extends LoadOptions {
  readonly inspect?: (jobClass: JobClass, file: string) => void;
  /** Receives each file that holds no job. */
  readonly onOther?: (file: string, exported: unknown) => void;
}

/**
 * Loads every job of a folder and its subfolders. A file default-exports one subclass of `Job` and is named after it
 * (`welcome-email.ts` holds `WelcomeEmailJob`, in whichever subfolder). Files without a job may hold code that jobs
 * share. A missing folder holds none.
 * @param options.inspect sees each class. An error that it or `onOther` throws counts as an error in the file.
 * @throws UserError that names the file and the reason.
 */
export async function loadJobs(
  folder: string,
  { inspect, onOther, importFile, onFault }: LoadJobsOptions = {},
): Promise<JobRegistry> {
  const registry = new JobRegistry();
  await loadClasses(folder, {
    isOne: isJobClass,
    recursive: true,
    importFile,
    onFault,
    take: (classes, name, exported) => {
      const job = readJobFile(classes, name, exported);
      if (!job) return onOther?.(name, exported);
      registry.add(job);
      inspect?.(job, name);
    },
  });
  return registry;
}

/**
 * @returns undefined for a module that holds no job.
 * @throws UserError for a module whose job would never be found, or whose class does not match the file's name.
 */
function readJobFile(classes: readonly JobClass[], fileName: string, module: unknown): JobClass | undefined {
  const exported = (module as { readonly default?: unknown } | null)?.default ?? module;
  const actual = path.basename(withoutExtension(fileName));
  if (!isJobClass(exported)) {
    // A subfolder may hold a base class of jobs, exported by name; if the file is named after it, it is meant as a job.
    const job = classes.find((each) => !fileName.includes(path.sep) || expectedFileName(each) === actual);
    if (job) {
      throw new UserError(
        `it exports ${job.name} by name: export it as the default or, if other jobs extend it, move it to a subfolder`,
      );
    }
    const broken = listExports(module).find(looksLikeJob);
    if (broken) {
      const what = /Job$/.test(broken.name) ? broken.name : 'a class with a perform method';
      throw new UserError(`${what} is no subclass of Job: let it extend Job, or name it otherwise`);
    }
    return undefined;
  }
  const expected = expectedFileName(exported);
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

/** A class that must have been meant as a job: otherwise it would never run, and nobody would know why. */
function looksLikeJob(value: unknown): value is { readonly name: string } {
  if (typeof value !== 'function' || isJobClass(value) || !/^class\b/.test(Function.prototype.toString.call(value)))
    return false;
  return /Job$/.test(value.name) || typeof value.prototype.perform === 'function';
}

function isJobClass(value: unknown): value is JobClass {
  return typeof value === 'function' && value.prototype instanceof Job;
}

/** The name, without its extension, of the file that holds a job. */
function expectedFileName(job: JobClass): string {
  return kebabCase(job.name.replace(/Job$/, ''));
}
