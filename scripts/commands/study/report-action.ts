import { openStudy } from '../../study/study-folder.js'
import { writeStudyReport } from '../../study/study-report.js'

/** The flags of `pmoe study report`. */
export interface StudyReportRequest {
  readonly results?: string
}

/** Writes the report of a study and says where it is. */
export async function runStudyReport(directory: string, { results }: StudyReportRequest): Promise<void> {
  const folder = await openStudy(directory)
  const written = [
    ...(await writeStudyReport(folder, directory)),
    ...(results === undefined ? [] : await writeStudyReport(folder, results, { page: false })),
  ]
  process.stdout.write(`${written.join('\n')}\n`)
}
