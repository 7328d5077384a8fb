"""Tables and lists in the panel are as high as their rows: the panel scrolls, nothing in it does."""

import qt

from MgImplantSegSections.engine.backgroundTask import weakly

SPARE_ROWS, EMPTY_ROW_PX = 1, 20


class WholeTable:
    """Keeps a table as high as its rows, also when they are wrapped anew because the panel is wider.

    :param table: a `QTableWidget` (or another view with the same headers).
    :param wide: numbers of the columns that share the width that others leave; long texts in them are wrapped.
    :param emptyRows: rows of room when it is empty, so that one sees that something belongs there.
    :param isNamedByRows: whether rows have names and columns have none; all columns share the width then.
    """

    def __init__(self, table, wide=(), emptyRows=SPARE_ROWS, isNamedByRows=False):
        self._table, self._emptyRows, self._isNamedByRows = table, emptyRows, isNamedByRows
        if isNamedByRows:
            table.horizontalHeader().setSectionResizeMode(qt.QHeaderView.Stretch)
            table.horizontalHeader().setVisible(False)
        if wide:
            table.setWordWrap(True)
            columns = table.horizontalHeader()
            for column in range(columns.count()):
                mode = qt.QHeaderView.Stretch if column in wide else qt.QHeaderView.ResizeToContents
                columns.setSectionResizeMode(column, mode)
        table.setVerticalScrollBarPolicy(qt.Qt.ScrollBarAlwaysOff)
        rows = table.verticalHeader()
        rows.setVisible(isNamedByRows)
        rows.setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        self._later = qt.QTimer(table)  # ends with the table
        self._later.setSingleShot(True)
        self._later.setInterval(0)
        self._later.connect("timeout()", weakly(self.fit))
        rows.connect("sectionResized(int,int,int)", self.fitLater)
        rows.connect("geometriesChanged()", self.fit)
        table.horizontalHeader().connect("sectionResized(int,int,int)", self.fitRows)
        rows.connect("sectionCountChanged(int,int)", self.fit)
        self.fit()

    def fitRows(self):
        """Columns have become narrower or wider, so that texts are wrapped otherwise."""
        self._table.resizeRowsToContents()
        self.fit()

    def fitLater(self):
        """Qt tells of a row before it counts its new height, so the height of all rows is right a moment later."""
        self.fit()
        self._later.start()

    def fit(self):
        """Set the height to that of header and rows."""
        table = self._table
        rows = table.verticalHeader()
        content = rows.length() if rows.count() else self._emptyRows * rows.defaultSectionSize
        header = 0 if self._isNamedByRows else table.horizontalHeader().sizeHint.height()
        height = header + content + 2 * table.frameWidth
        if height != table.minimumHeight:
            table.setFixedHeight(height)


def fitList(widget, emptyRows=SPARE_ROWS):
    """Make a `QListWidget` as high as its entries."""
    widget.setVerticalScrollBarPolicy(qt.Qt.ScrollBarAlwaysOff)
    count = max(widget.count, emptyRows)
    row = widget.sizeHintForRow(0) if widget.count else EMPTY_ROW_PX
    widget.setFixedHeight(count * row + 2 * widget.frameWidth + 2)
