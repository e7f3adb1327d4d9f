import { Command } from 'commander'
import type { StudyReportRequest } from './report-action.js'

/** The command `pmoe study report`. */
export function studyReportCommand(): Command {
  return new Command('report')
    .description('write the report of a study from the cells that have ended; works while it runs')
    .argument('<folder>', 'folder of the study')
    .option('--results <folder>', 'write numbers, table and figure there too')
    .action(async (folder: string, request: StudyReportRequest) => {
      const { runStudyReport } = await import('./report-action.js')
      await runStudyReport(folder, request)
    })
}
