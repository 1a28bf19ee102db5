import { boot } from './lib';
import app from './lib/app';

// The entry point of every process of the tree: primary, web worker and job processor. See lib/README.md.
void boot(app);
