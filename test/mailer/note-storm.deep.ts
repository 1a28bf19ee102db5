import { noteStorm } from './note-storm';

/** Set `MAIL_JOBS=10000` for a long run by hand. */
noteStorm({ jobs: Number(process.env.MAIL_JOBS ?? 300), kills: 10, seed: 20_261_127 });
