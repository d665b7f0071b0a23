// Run, Edit, Stop and Reset of the blocks, and the client in the page.
