#!/usr/bin/env node
import { exitCodeOf, program } from './program.js'
import { showControlCharacters } from './terminal/safe-output.js'

// A reader that has seen enough, such as `head`, is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

// Names of files, classes and layers are others': they are shown, and not obeyed.
showControlCharacters(process.stdout)
showControlCharacters(process.stderr)

try {
  await program().parseAsync()
} catch (error) {
  process.exitCode = exitCodeOf(error)
}
