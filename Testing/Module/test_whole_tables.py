"""Tables as high as their rows: what is put off ends with the table."""


def test_the_timer_that_sets_a_height_anew_belongs_to_the_table_and_ends_with_it(module):
    import qt
    from MgImplantSegSections.sections.wholeTables import WholeTable
    from PySide6 import QtCore

    table = qt.QTableWidget(2, 2)
    whole = WholeTable(table)
    whole.fitLater()
    (timer,) = table._native.findChildren(QtCore.QTimer, options=QtCore.Qt.FindChildOption.FindDirectChildrenOnly)
    assert timer.isActive() and timer.parent() == table._native
