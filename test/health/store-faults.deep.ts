import { storeFaults } from './store-faults';

storeFaults();
