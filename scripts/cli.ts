#!/usr/bin/env node
import { exitCodeOf, program } from './program.js'
import { withHomeFolder } from './terminal/home-folder.js'

// A reader that has seen enough, such as `head`, is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

try {
  await program().parseAsync(withHomeFolder(process.argv.slice(2)), { from: 'user' })
} catch (error) {
  process.exitCode = exitCodeOf(error)
}
