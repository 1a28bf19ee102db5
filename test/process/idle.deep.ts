import { idleTree } from './idle';

idleTree({ minutes: 2 });
