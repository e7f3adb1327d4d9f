// The page that `pmoe explore` serves.
import { pageStyle } from '../../src/report/page-style.js'
import { httpSource } from './http-source.js'
import { mountExplorer } from './main.js'

const style = document.createElement('style')
style.textContent = pageStyle
document.head.append(style)
mountExplorer(document.querySelector('main') as HTMLElement, httpSource())
