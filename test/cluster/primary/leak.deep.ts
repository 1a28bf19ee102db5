import { leaks } from './leak';

leaks(1, false);
