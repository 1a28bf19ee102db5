import type * as broadcasts from './broadcast/broadcast';
import type * as jobErrors from './job/definition/errors';
import type { ArgumentsOf } from './job/definition/job-class';
import type * as enqueue from './job/enqueue/enqueue';
import type * as job from './job/job';
import type * as mailErrors from './mailer/definition/errors';
import type * as mailer from './mailer/mailer';
import type * as model from './model/model';
import type * as transactions from './model/transaction';
import type * as client from './role/connect/client';
import type * as context from './web/context';
import type * as signUp from './web/sign-up';

/**
 * The public API: everything an app needs, and all that our sample app imports. What defines models, jobs and mailers,
 * and their errors, is loaded on first access: the primary imports the app's manifest through this module, and needs
 * none of it. Its types are in `public-types.ts`, which no process loads.
 */

export { boot } from './boot';
export { MissingValueError, UserError } from './core/errors';
export { currentContext, withAttributes } from './core/execution-context';
export type * from './public-types';
export { defineApp } from './role/app/app-definition';
export { clientNetwork } from './support/text';

export declare const CancelEnqueue: typeof enqueue.CancelEnqueue;
export type CancelEnqueue = enqueue.CancelEnqueue;
export declare const DiscardJob: typeof jobErrors.DiscardJob;
export type DiscardJob = jobErrors.DiscardJob;
export declare const EnqueueError: typeof jobErrors.EnqueueError;
export type EnqueueError = jobErrors.EnqueueError;
export declare const JobTimeoutError: typeof jobErrors.JobTimeoutError;
export type JobTimeoutError = jobErrors.JobTimeoutError;
export declare const KillJob: typeof jobErrors.KillJob;
export type KillJob = jobErrors.KillJob;
export declare const RecordGoneError: typeof jobErrors.RecordGoneError;
export type RecordGoneError = jobErrors.RecordGoneError;
export declare const AttachmentError: typeof mailErrors.AttachmentError;
export type AttachmentError = mailErrors.AttachmentError;
export declare const InvalidMailError: typeof mailErrors.InvalidMailError;
export type InvalidMailError = mailErrors.InvalidMailError;
export declare const MissingTemplateError: typeof mailErrors.MissingTemplateError;
export type MissingTemplateError = mailErrors.MissingTemplateError;
export declare const MissingTextError: typeof mailErrors.MissingTextError;
export type MissingTextError = mailErrors.MissingTextError;
export declare const PartialDeliveryError: typeof mailErrors.PartialDeliveryError;
export type PartialDeliveryError = mailErrors.PartialDeliveryError;
export declare const PermanentDeliveryError: typeof mailErrors.PermanentDeliveryError;
export type PermanentDeliveryError = mailErrors.PermanentDeliveryError;
export declare const TemplateError: typeof mailErrors.TemplateError;
export type TemplateError = mailErrors.TemplateError;
export declare const Job: typeof job.Job;
export type Job<A extends ArgumentsOf<A> = []> = job.Job<A>;
export declare const performAllLater: typeof job.performAllLater;
export declare const Mailer: typeof mailer.Mailer;
export type Mailer<P extends object = mailer.NoParams> = mailer.Mailer<P>;
export declare const MailerPreview: typeof mailer.MailerPreview;
export type MailerPreview = mailer.MailerPreview;
export declare const Model: typeof model.Model;
export type Model = model.Model;
export declare const ProblemError: typeof context.ProblemError;
export type ProblemError = context.ProblemError;
export declare const DISPLAY_NAME_RULE: typeof signUp.DISPLAY_NAME_RULE;
export declare const EMAIL_RULE: typeof signUp.EMAIL_RULE;
export declare const parseDisplayName: typeof signUp.parseDisplayName;
export declare const parseEmail: typeof signUp.parseEmail;
export declare const SignUpLimits: typeof signUp.SignUpLimits;
export type SignUpLimits = signUp.SignUpLimits;
export declare const broadcast: typeof broadcasts.broadcast;
export declare const subscribe: typeof broadcasts.subscribe;
export declare const connect: typeof client.connect;
export declare const currentTransaction: typeof transactions.currentTransaction;
export declare const transaction: typeof transactions.transaction;

// Assigned by name, so that Node finds the names when an ES module imports them.
module.exports.CancelEnqueue = undefined;
module.exports.DiscardJob = undefined;
module.exports.EnqueueError = undefined;
module.exports.JobTimeoutError = undefined;
module.exports.KillJob = undefined;
module.exports.RecordGoneError = undefined;
module.exports.AttachmentError = undefined;
module.exports.InvalidMailError = undefined;
module.exports.MissingTemplateError = undefined;
module.exports.MissingTextError = undefined;
module.exports.PartialDeliveryError = undefined;
module.exports.PermanentDeliveryError = undefined;
module.exports.TemplateError = undefined;
module.exports.Job = undefined;
module.exports.performAllLater = undefined;
module.exports.Mailer = undefined;
module.exports.MailerPreview = undefined;
module.exports.Model = undefined;
module.exports.ProblemError = undefined;
module.exports.DISPLAY_NAME_RULE = undefined;
module.exports.EMAIL_RULE = undefined;
module.exports.parseDisplayName = undefined;
module.exports.parseEmail = undefined;
module.exports.SignUpLimits = undefined;
module.exports.broadcast = undefined;
module.exports.subscribe = undefined;
module.exports.connect = undefined;
module.exports.currentTransaction = undefined;
module.exports.transaction = undefined;

/** What is loaded on first access, by its file. */
const FILES = {
  './broadcast/broadcast': 'broadcast subscribe',
  './job/definition/errors': 'DiscardJob EnqueueError JobTimeoutError KillJob RecordGoneError',
  './job/enqueue/enqueue': 'CancelEnqueue',
  './job/job': 'Job performAllLater',
  './mailer/definition/errors':
    'AttachmentError InvalidMailError MissingTemplateError MissingTextError PartialDeliveryError PermanentDeliveryError TemplateError',
  './mailer/mailer': 'Mailer MailerPreview',
  './model/model': 'Model',
  './model/transaction': 'currentTransaction transaction',
  './role/connect/client': 'connect',
  './web/context': 'ProblemError',
  './web/sign-up': 'DISPLAY_NAME_RULE EMAIL_RULE parseDisplayName parseEmail SignUpLimits',
} as const;
for (const [file, names] of Object.entries(FILES)) {
  for (const name of names.split(' ')) {
    const get = () => (require(file) as Readonly<Record<string, unknown>>)[name];
    Object.defineProperty(module.exports, name, { get, enumerable: true, configurable: true });
  }
}
