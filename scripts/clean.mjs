// Removes the build folder, so that files of deleted modules do not stay in the package.
import { rmSync } from 'node:fs'

rmSync(new URL('../dist', import.meta.url), { recursive: true, force: true })
