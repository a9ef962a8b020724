"""Who may ask what of logistics, and where HTTP finds it."""

from __future__ import annotations

from services.chassis.call import Route, allow, anyone

NAME = "aid.logistics.v1.LogisticsService"

RULES = {
    "PutItem": allow("operator"),
    "ListItems": anyone(),
    "PutWarehouse": allow("operator"),
    "GetAppeal": anyone(),
    "Pledge": anyone(),
    "GetPledge": anyone(),
    "PackBox": anyone(),
    "SendBox": anyone(),
    "ReceiveBox": allow("warehouse"),
    "ListStock": allow("warehouse"),
    "CountStock": allow("warehouse"),
    "ListBags": allow("warehouse", "carrier"),
    "DispatchBag": allow("warehouse"),
    "GetHandoff": allow("carrier"),
    "ConfirmHandover": allow("carrier"),
    "WatchShipments": allow("warehouse"),
}

# A secret or a label never stands in an address, where every proxy between here and there would log it.
ROUTES = (
    Route("GET", "/v1/items", "ListItems"),
    Route("PUT", "/v1/items/{item.item_id}", "PutItem"),
    Route("PUT", "/v1/warehouses/{warehouse_id}", "PutWarehouse"),
    Route("GET", "/v1/appeal", "GetAppeal"),
    Route("POST", "/v1/appeal/{line_id}/pledges", "Pledge"),
    Route("POST", "/v1/pledges:get", "GetPledge"),
    Route("POST", "/v1/pledges:pack", "PackBox"),
    Route("POST", "/v1/pledges:send", "SendBox"),
    Route("POST", "/v1/boxes:receive", "ReceiveBox"),
    Route("GET", "/v1/warehouses/{warehouse_id}/stock", "ListStock"),
    Route("PUT", "/v1/warehouses/{warehouse_id}/stock/{item_id}", "CountStock"),
    Route("GET", "/v1/warehouses/{warehouse_id}/shipments", "WatchShipments"),
    Route("GET", "/v1/warehouses/{warehouse_id}/bags", "ListBags"),
    Route("GET", "/v1/bags", "ListBags"),
    Route("POST", "/v1/bags/{bag_code}/dispatch", "DispatchBag"),
    Route("GET", "/v1/bags/{bag_code}/handoff", "GetHandoff"),
    Route("POST", "/v1/bags/{bag_code}/handover", "ConfirmHandover"),
)
