import { Command } from 'commander'
import type { StudyStatusRequest } from './status-action.js'

/** The command `pmoe study status`. */
export function studyStatusCommand(): Command {
  return new Command('status')
    .description('say how far a study has come; works while it runs')
    .argument('<folder>', 'folder of the study')
    .option('--json', 'write the status as JSON')
    .action(async (folder: string, request: StudyStatusRequest) => {
      const { runStudyStatus } = await import('./status-action.js')
      await runStudyStatus(folder, request)
    })
}
