import { Job } from '../../lib/job/job';

/** The notes of the jobs that have run, in order. */
export const ran: string[] = [];

export class NoteJob extends Job<[note: string]> {
  perform(note: string): void {
    ran.push(note);
  }
}
