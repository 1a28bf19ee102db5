import { noteStorm } from './note-storm';

/** Set `MAIL_JOBS=10000` for a long run by hand. */
noteStorm({ jobs: Number(process.env.MAIL_JOBS ?? 150), kills: 6, seed: 20_261_127 });
