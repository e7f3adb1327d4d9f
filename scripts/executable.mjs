// Lets the built command line be run by its name.
import { chmodSync } from 'node:fs'

chmodSync(new URL('../dist/scripts/cli.js', import.meta.url), 0o755)
